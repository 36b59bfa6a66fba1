"""A log's records, in its order, as the event store and as Kafka keep them."""

import heapq
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CorruptRecordException
from eventsourcing.persistence import Notification, PersistenceError

from device_ledger.ledger.ledger import EventStore
from device_ledger.ledger.stores import StoreRefusedError
from device_ledger.settings import Settings
from device_ledger.verify.check import DifferenceError, Line
from device_ledger.wire import access
from device_ledger.wire.codec import (
    MalformedRecordError,
    decode,
    partition_of,
    public_bytes,
    read_record,
)
from device_ledger.wire.events import EVENT_TYPES
from device_ledger.wire.topics import ACCESS, EVENTS

_ROWS: Final = 5_000
_RECORDS: Final = 500
_WAIT_MS: Final = 30_000


class SourceError(Exception):
    """A log can't be read; one line for the user."""


def events_of(settings: Settings) -> Iterator[Line]:
    """All public events of the event store that the settings name.

    Raises:
        SourceError: there is none.
    """
    path = settings.home / "ledger" / "events.db"
    if not settings.event_store_url.get_secret_value() and not path.exists():
        raise SourceError(f"there is no event store {path}")
    try:
        events = EventStore.open(settings)
    except (PersistenceError, StoreRefusedError) as error:
        raise SourceError(f"the event store can't be read: {type(error).__name__}") from None
    try:
        yield from _stored(events)
    finally:
        events.close()


def _stored(events: EventStore) -> Iterator[Line]:
    after = 0
    while batch := events.store.select_notifications(
        after, _ROWS, topics=EVENT_TYPES, inclusive_of_start=False
    ):
        for one in batch:
            yield Line(str(one.id), public_bytes(one.id, one.state), _problem_of_row(one))
        after = batch[-1].id


def _problem_of_row(one: Notification) -> str:
    try:
        found = decode(public_bytes(one.id, one.state))
    except MalformedRecordError:
        return "its bytes are no event"
    # The public bytes begin anew, so that no signature is over the stored brace.
    if not one.state.startswith(b"{"):
        return "its bytes are no event"
    return "" if found.type == one.topic else "it is stored as an event of another type"


async def published_events(bootstrap_servers: str) -> AsyncIterator[Line]:
    """All events that are on Kafka now, repeats left out.

    Raises:
        SourceError: the topic isn't there, or nothing more comes of it.
        DifferenceError: a record is broken.
        KafkaError: no broker can be reached.
    """
    async with _reading(bootstrap_servers, EVENTS) as partitions:
        chains = [_Chain(one, len(partitions)) for one in partitions]
        waiting = [
            (int(line.ref), number, line)
            for number, chain in enumerate(chains)
            if (line := await chain.next()) is not None
        ]
        heapq.heapify(waiting)
        while waiting:
            _, number, line = waiting[0]
            yield line
            following = await chains[number].next()
            if following is None:
                heapq.heappop(waiting)
            else:
                heapq.heapreplace(waiting, (int(following.ref), number, following))


async def published_access(bootstrap_servers: str) -> AsyncIterator[Line]:
    """All lines of the access topic that are on Kafka now.

    Raises: as `published_events`.
    """
    async with _reading(bootstrap_servers, ACCESS) as partitions:
        for partition in partitions:
            while (record := await partition.next()) is not None:
                for line in access.split(record.value) if record.value is not None else ():
                    yield _access_line(record.offset, line)


def _access_line(offset: int, line: bytes) -> Line:
    try:
        return Line(access.decode(line).id, line)
    except MalformedRecordError:
        return Line(f"at offset {offset}", line, "its bytes are no access record")


class _Partition:
    """The records of a partition up to its end of now."""

    def __init__(self, consumer: AIOKafkaConsumer, at: TopicPartition, end: int) -> None:
        self._consumer = consumer
        self.at = at
        self._end = end
        self._read: deque[ConsumerRecord[bytes, bytes]] = deque()

    async def next(self) -> "ConsumerRecord[bytes, bytes] | None":
        """The next record; ``None`` after the last."""
        while not self._read:
            position = await self._consumer.position(self.at)
            if position >= self._end:
                return None
            try:
                found = await self._consumer.getmany(
                    self.at, timeout_ms=_WAIT_MS, max_records=_RECORDS
                )
            except CorruptRecordException:
                raise DifferenceError(
                    f"{self.at.topic}, partition {self.at.partition}: a record at offset"
                    f" {position} or soon after it is broken on the disk"
                ) from None
            if not found:
                raise SourceError(f"nothing comes of {self.at.topic}/{self.at.partition}")
            self._read.extend(found[self.at])
        return self._read.popleft()


class _Chain:
    """The events of a partition, as a reader takes them: each names the one before it."""

    def __init__(self, partition: _Partition, partitions: int) -> None:
        self._partition = partition
        self._partitions = partitions
        self._last = 0

    async def next(self) -> Line | None:
        """The next event; ``None`` after the last."""
        while (raw := await self._partition.next()) is not None:
            try:
                record = read_record(raw.partition, raw.offset, raw.headers, raw.value)
            except MalformedRecordError as error:
                ref = f"after {self._last} (partition {raw.partition}, offset {raw.offset})"
                raise DifferenceError(f"the event {ref} can't be read: {error}") from None
            if record.event.id > self._last:
                problem = self._problem(raw, record.prev, record.event.subject)
                self._last = record.event.id
                return Line(str(record.event.id), raw.value or b"", problem)
        return None

    def _problem(self, raw: "ConsumerRecord[bytes, bytes]", prev: int, subject: str) -> str:
        if prev != self._last:
            return f"it follows {prev} in its partition, and {self._last} is before it"
        if raw.key != subject.encode() or partition_of(subject, self._partitions) != raw.partition:
            return "its key or partition is not that of its device"
        return ""


@asynccontextmanager
async def _reading(bootstrap_servers: str, topic: str) -> AsyncIterator[list[_Partition]]:
    assigned = [
        TopicPartition(topic, number) for number in await _partitions(bootstrap_servers, topic)
    ]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, enable_auto_commit=False, auto_offset_reset="none"
    )
    await consumer.start()
    try:
        consumer.assign(assigned)
        begins = await consumer.beginning_offsets(assigned)
        ends = await consumer.end_offsets(assigned)
        for at in assigned:
            consumer.seek(at, begins[at])
        yield [_Partition(consumer, at, ends[at]) for at in assigned]
    finally:
        await consumer.stop()


async def _partitions(bootstrap_servers: str, topic: str) -> list[int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await admin.start()
        [found] = await admin.describe_topics([topic])
    finally:
        await admin.close()
    if not found["partitions"]:
        raise SourceError(f"there is no topic {topic} on these brokers")
    return list(range(len(found["partitions"])))
