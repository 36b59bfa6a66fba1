"""Where each partition of the events topic ends, read from the topic itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import KafkaError

from device_ledger.ledger.stores import Identity
from device_ledger.wire import topics
from device_ledger.wire.codec import MalformedRecordError, Record, read_record

READ_SECONDS = 30.0
ASK_SECONDS = 20.0
GO_ON = (
    "Restore the newest one; where this is the newest, stop the API and the relay and run"
    " `device-ledger restore`, which goes on from it and says what is lost"
)
"""What the operator of an older copy is told."""


class RelayRefusedError(Exception):
    """The relay must not go on; the message says what the operator is to do."""


class TopicBrokenError(Exception):
    """A partition doesn't begin with its first event: it was recreated and is incomplete."""


class LostEventsError(TopicBrokenError):
    """The topic has events of an earlier epoch that the event store was restored without."""


@dataclass
class Tail:
    """The last event id of a partition, 0 for none, the offset that comes next, and the first; of
    the event itself, as it was found, its epoch and its exact bytes."""

    last_id: int
    next_offset: int
    first_offset: int
    epoch: int = 0
    exact: bytes = b""


@asynccontextmanager
async def open_reader(bootstrap_servers: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of no group, for reading single records."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, enable_auto_commit=False, max_poll_records=1
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def read_tails(consumer: AIOKafkaConsumer, identity: Identity) -> dict[int, Tail]:
    """The tail of every partition.

    Raises:
        TopicBrokenError: a partition's first event has one before it, which is missing.
        RelayRefusedError: the topic holds another ledger's events.
    """
    partitions = [TopicPartition(topics.EVENTS, number) for number in range(identity.partitions)]
    consumer.assign(partitions)
    begins = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    tails = {}
    for partition in partitions:
        begin, end = begins[partition], ends[partition]
        first = await _first_found(consumer, partition, range(begin, end))
        if first is not None and first[0].prev != 0:
            raise TopicBrokenError(f"partition {partition.partition} begins after its first event")
        tails[partition.partition] = await _tail(consumer, partition, begin, end, identity)
    return tails


async def _tail(
    consumer: AIOKafkaConsumer, partition: TopicPartition, begin: int, end: int, identity: Identity
) -> Tail:
    found = await _first_found(consumer, partition, range(end - 1, begin - 1, -1))
    if found is None:
        return Tail(0, end, begin)
    record, exact = found
    return Tail(record.event.id, end, begin, epoch_of(record, identity), exact)


async def _first_found(
    consumer: AIOKafkaConsumer, partition: TopicPartition, offsets: range
) -> tuple[Record, bytes] | None:
    """The first event at these offsets, in their order, and its bytes."""
    for offset in offsets:
        if found := await _read(consumer, partition, offset):
            return found
    return None


async def _read(
    consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int
) -> tuple[Record, bytes] | None:
    """The event at an offset and its bytes; ``None`` where the record is no event of ours."""
    consumer.seek(partition, offset)
    with anyio.fail_after(READ_SECONDS):
        found: ConsumerRecord[bytes, bytes] = await consumer.getone(partition)
    try:
        record = read_record(found.partition, found.offset, found.headers, found.value)
    except MalformedRecordError:
        return None
    return record, found.value or b""


def epoch_of(record: Record, identity: Identity) -> int:
    """The epoch of an event of this ledger.

    Raises:
        RelayRefusedError: it is another ledger's, or of a later epoch than the event store.
    """
    ledger, _, epoch = record.event.source.rpartition(":")
    ours, _, _ = identity.source.rpartition(":")
    if ledger != ours:
        raise RelayRefusedError(
            f"topic {topics.EVENTS} holds the events of another ledger ({ledger}), this one is"
            f" {ours}: point the relay at this ledger's own brokers"
        )
    if int(epoch) > identity.epoch:
        raise RelayRefusedError(
            f"topic {topics.EVENTS} was written in epoch {epoch}, the event store is of epoch"
            f" {identity.epoch}: it is an old copy. {GO_ON}"
        )
    return int(epoch)


async def newest_epoch(bootstrap_servers: str) -> int | None:
    """The newest epoch that a partition's last event is of, 0 for none; ``None`` where Kafka can't
    be asked."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
            try:
                await admin.start()
                [found] = await admin.describe_topics([topics.EVENTS])
            finally:
                await admin.close()
            if not found["partitions"]:
                return 0
            async with open_reader(bootstrap_servers) as reader:
                return await _newest(reader, len(found["partitions"]))
    except (KafkaError, TimeoutError):
        return None
    except ValueError:
        # Another ledger's topic: the relay refuses it.
        return 0


async def _newest(reader: AIOKafkaConsumer, partitions: int) -> int:
    assigned = [TopicPartition(topics.EVENTS, number) for number in range(partitions)]
    reader.assign(assigned)
    begins = await reader.beginning_offsets(assigned)
    ends = await reader.end_offsets(assigned)
    newest = 0
    for at in assigned:
        found = await _first_found(reader, at, range(ends[at] - 1, begins[at] - 1, -1))
        if found is not None:
            newest = max(newest, Identity.of_source(found[0].event.source, partitions).epoch)
    return newest


async def make_empty(bootstrap_servers: str, partitions: int) -> None:
    """Delete all records of the events topic, so that it can be filled from the start."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_records(
            {
                TopicPartition(topics.EVENTS, number): RecordsToDelete(before_offset=-1)
                for number in range(partitions)
            }
        )
    finally:
        await admin.close()
