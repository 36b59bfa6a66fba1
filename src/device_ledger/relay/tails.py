"""Where each partition of the events topic ends, read from the topic itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from device_ledger.ledger.stores import Identity
from device_ledger.wire import topics
from device_ledger.wire.codec import MalformedRecordError, Record, read_record

READ_SECONDS = 30.0


class RelayRefusedError(Exception):
    """The relay must not go on; the message says what the operator is to do."""


class TopicBrokenError(Exception):
    """A partition doesn't begin with its first event: it was recreated and is incomplete."""


@dataclass
class Tail:
    """The last event id of a partition, 0 for none, and the offset that comes next."""

    last_id: int
    next_offset: int


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
        first = await _first_event(consumer, partition, begin, end)
        if first is not None and first.prev != 0:
            raise TopicBrokenError(f"partition {partition.partition} begins after its first event")
        last = await _last_event(consumer, partition, begin, end)
        if last is not None:
            _check_ledger(last, identity)
        tails[partition.partition] = Tail(last.event.id if last else 0, end)
    return tails


async def _first_event(
    consumer: AIOKafkaConsumer, partition: TopicPartition, begin: int, end: int
) -> Record | None:
    for offset in range(begin, end):
        if record := await _read(consumer, partition, offset):
            return record
    return None


async def _last_event(
    consumer: AIOKafkaConsumer, partition: TopicPartition, begin: int, end: int
) -> Record | None:
    for offset in range(end - 1, begin - 1, -1):
        if record := await _read(consumer, partition, offset):
            return record
    return None


async def _read(
    consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int
) -> Record | None:
    """The event at an offset; ``None`` where the record is no event of ours."""
    consumer.seek(partition, offset)
    with anyio.fail_after(READ_SECONDS):
        found: ConsumerRecord[bytes, bytes] = await consumer.getone(partition)
    try:
        return read_record(found.partition, found.offset, found.headers, found.value)
    except MalformedRecordError:
        return None


def _check_ledger(record: Record, identity: Identity) -> None:
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
            f" {identity.epoch}: it is an old copy; restore the newest one"
        )


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
