"""Reading a topic itself, past any consumer group."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from device_ledger.wire.topics import EVENTS
from projections.guard import KafkaRecord
from projections.memory import give_back

GROUP = "device-ledger-read-models"
"""The consumer group of all workers that keep read models."""

BULK_RECORDS = 5_000

_AHEAD_BYTES = 8 << 20
"""Most that a consumer reads ahead: two batches and more."""


class TopicMissingError(RuntimeError):
    """There is no events topic yet: the relay makes it."""


def kafka_record(found: Any) -> KafkaRecord:
    """A record of aiokafka's or Faust's as the guard takes it."""
    headers = found.headers or ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return KafkaRecord(found.partition, found.offset, found.key, found.value, tuple(pairs))


def _consumed(found: Any) -> KafkaRecord:
    """A record of aiokafka's, whose headers are such a tuple already."""
    return KafkaRecord(found.partition, found.offset, found.key, found.value, found.headers)


class Reading:
    """Partitions of the topic, read one record after the other from wherever one asks.

    ``records`` counts what `batches` gave.
    """

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self.records = 0

    async def bounds(self, partitions: Collection[int]) -> dict[int, tuple[int, int]]:
        """For each partition its first offset and the one that the next record will get."""
        asked = [TopicPartition(self._topic, partition) for partition in partitions]
        begins = await self._consumer.beginning_offsets(asked)
        ends = await self._consumer.end_offsets(asked)
        return {at.partition: (begins[at], ends[at]) for at in asked}

    async def offset_at(self, partition: int, at: datetime) -> int | None:
        """The offset of a partition's first record written at or after a time, if there is one."""
        asked = TopicPartition(self._topic, partition)
        found = (await self._consumer.offsets_for_times({asked: int(at.timestamp() * 1000)}))[asked]
        return None if found is None else int(found.offset)

    async def batches(
        self, starts: Mapping[int, int], ends: Mapping[int, int]
    ) -> AsyncIterator[dict[int, list[KafkaRecord]]]:
        """The records between these offsets, in large batches, in order within a partition.

        The reader may change its mind: `seek` takes effect with the next batch.
        """
        wanted = {
            TopicPartition(self._topic, partition): end
            for partition, end in ends.items()
            if starts[partition] < end
        }
        if not wanted:
            return
        self._consumer.assign(list(wanted))
        for at in wanted:
            self._consumer.seek(at, starts[at.partition])
        while wanted:
            found = await self._consumer.getmany(
                *wanted, timeout_ms=1_000, max_records=BULK_RECORDS
            )
            if found:
                self.records += sum(map(len, found.values()))
                yield {at.partition: list(map(_consumed, found[at])) for at in found}
            else:
                # Nothing comes where the topic was made anew under us, and is shorter now.
                now = await self.bounds([at.partition for at in wanted])
                wanted = {at: min(end, now[at.partition][1]) for at, end in wanted.items()}
            for at in list(wanted):
                if await self._consumer.position(at) >= wanted[at]:
                    del wanted[at]

    def seek(self, partition: int, offset: int) -> None:
        """Go on from another offset of a partition."""
        self._consumer.seek(TopicPartition(self._topic, partition), offset)

    def begin(self, starts: Mapping[int, int]) -> None:
        """Read on from these offsets, without an end: `more` gives what comes."""
        self._consumer.assign([TopicPartition(self._topic, partition) for partition in starts])
        for partition, offset in starts.items():
            self.seek(partition, offset)

    async def more(self, within: float) -> list[KafkaRecord]:
        """The next records, in order within a partition; none where none came in those seconds."""
        found = await self._consumer.getmany(
            timeout_ms=int(within * 1_000), max_records=BULK_RECORDS
        )
        return [kafka_record(record) for records in found.values() for record in records]


class Topic:
    """The events topic of a Kafka cluster."""

    def __init__(self, bootstrap_servers: str, name: str = EVENTS) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._name = name

    async def partitions(self) -> int:
        """The number of its partitions.

        Raises:
            TopicMissingError: there is no topic.
            KafkaError: no broker can be reached.
        """
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap_servers)
        try:
            await admin.start()
            [found] = await admin.describe_topics([self._name])
        finally:
            await admin.close()
        if not found["partitions"]:
            raise TopicMissingError(f"topic {self._name} is not there yet")
        return len(found["partitions"])

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        """Open a consumer that belongs to no group.

        Raises:
            KafkaError: no broker can be reached.
        """
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_bytes=_AHEAD_BYTES,
        )
        try:
            await consumer.start()
            # Stopped before its own task ran once, the consumer raises CancelledError.
            await asyncio.sleep(0)
            reading = Reading(consumer, self._name)
            yield reading
        finally:
            await consumer.stop()
        if reading.records > BULK_RECORDS:
            await asyncio.to_thread(give_back)


KAFKA_ERRORS: tuple[type[Exception], ...] = (KafkaError, ConnectionError)
