"""What comes on the events and access topics, and up to when all of it has come."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, TopicPartition

from device_ledger.wire.codec import MalformedRecordError
from device_ledger.wire.progress import decode
from device_ledger.wire.topics import ACCESS, EVENTS, PROGRESS
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from projections.archive.reader import text
from projections.guard import KafkaRecord
from projections.topic import kafka_record

TOPICS = {EVENTS_LOG: EVENTS, ACCESS_LOG: ACCESS}
_LOGS = {topic: log for log, topic in TOPICS.items()}
_PROGRESS = TopicPartition(PROGRESS, 0)
_MOST = 5_000


@dataclass(frozen=True, slots=True)
class Arrived:
    """Records by log, in the order of each partition.

    ``through`` is there where it moved: the relay's, at or before which no event should come any
    more. ``asked`` is the time at which the topics were no longer than what has come.
    """

    records: dict[str, list[KafkaRecord]]
    through: str | None = None
    asked: datetime | None = None


class Feed:
    """The two topics from where the reader stands, and the relay's progress."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._through = ""
        self._told = ""
        self._asked: tuple[str, datetime, dict[TopicPartition, int]] | None = None

    async def next(self, within: float) -> Arrived:
        """What has come, waiting for it at most so many seconds.

        Raises:
            KafkaError: Kafka doesn't answer, or a topic was made anew.
        """
        found = await self._consumer.getmany(timeout_ms=int(within * 1000), max_records=_MOST)
        for record in found.pop(_PROGRESS, ()):
            self._take_progress(record.value)
        records: dict[str, list[KafkaRecord]] = {}
        for at, came in found.items():
            records.setdefault(_LOGS[at.topic], []).extend(map(kafka_record, came))
        return Arrived(records, *(await self._complete()))

    def _take_progress(self, value: bytes | None) -> None:
        try:
            told = decode(value).through
        except MalformedRecordError:
            return
        # By a clock that is ahead, records of all the time up to there would come too late.
        told = min(told, text(datetime.now(UTC)))
        # Another relay may begin behind the last one: what was complete stays so.
        self._through = max(self._through, told)

    async def _complete(self) -> tuple[str, datetime] | tuple[()]:
        """Up to when all has come, once the ends that the topics had then are reached."""
        if self._asked is None and self._through > self._told:
            now = datetime.now(UTC)
            ends = await self._consumer.end_offsets(self._partitions)
            self._asked = (self._through, now, ends)
        if self._asked is None:
            return ()
        through, now, ends = self._asked
        for at, end in ends.items():
            if await self._consumer.position(at) < end:
                return ()
        self._told, self._asked = through, None
        return through, now


@asynccontextmanager
async def open_feed(brokers: str, starts: Mapping[str, Mapping[int, int]]) -> AsyncIterator[Feed]:
    """Read on from these offsets of each log and partition.

    Raises:
        KafkaError: Kafka doesn't answer, or a topic doesn't reach so far.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        # Of all that is prefetched; an access record may have half of that.
        max_partition_fetch_bytes=1 << 20,
    )
    await consumer.start()
    try:
        begins = {
            TopicPartition(TOPICS[log], partition): offset
            for log, of_partition in starts.items()
            for partition, offset in of_partition.items()
        }
        consumer.assign([*begins, _PROGRESS])
        for at, offset in begins.items():
            consumer.seek(at, offset)
        first = await consumer.beginning_offsets([_PROGRESS])
        end = await consumer.end_offsets([_PROGRESS])
        consumer.seek(_PROGRESS, max(first[_PROGRESS], end[_PROGRESS] - 1))
        yield Feed(consumer, list(begins))
    finally:
        # While Kafka is away it may raise the CancelledError of a task of its own.
        stopping = asyncio.ensure_future(consumer.stop())
        await asyncio.wait([stopping])
        if not stopping.cancelled() and (error := stopping.exception()) is not None:
            raise error
