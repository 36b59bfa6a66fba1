"""The relay: copies the public events from the event store to Kafka, in order.

It keeps no cursor that could lie. A session reads the tails of the topic, goes through the
notification log from the lowest, skips in each partition what is there, and checks that every
acknowledged offset is the one after the last. Whatever goes wrong ends the session: its producer
is thrown away unflushed and the next one reads the tails again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from eventsourcing.persistence import Notification

from device_ledger.ledger.ledger import EventStore
from device_ledger.ledger.stores import RestoredError
from device_ledger.relay.lease import Lease, take_lease
from device_ledger.relay.logs import LogKeeper
from device_ledger.relay.lost import keep_lost
from device_ledger.relay.progress import ProgressTeller
from device_ledger.relay.tails import (
    GO_ON,
    LostEventsError,
    RelayRefusedError,
    Tail,
    TopicBrokenError,
    make_empty,
    open_reader,
    read_tails,
)
from device_ledger.settings import Settings
from device_ledger.together import first_to_end
from device_ledger.wire import topics
from device_ledger.wire.codec import (
    CONTENT_TYPE_HEADER,
    PREV_HEADER,
    partition_of,
    public_bytes,
)
from device_ledger.wire.events import EVENT_TYPES

log = logging.getLogger(__name__)

BATCH_MAX = 500
IDLE_SECONDS = 0.75
CHECK_SECONDS = 5.0
"""How often the topic is looked at while there is always something to relay."""
PAUSE_SECONDS = 0.5


class OffsetError(Exception):
    """An acknowledged offset isn't the one after the last: somebody else wrote, or recreated."""


class TopicRecreatedError(TopicBrokenError):
    """The topic is shorter than what was acknowledged: it was recreated under the relay."""


async def run_relay(settings: Settings, bootstrap_servers: str, ready: Callable[[], None]) -> None:
    """Relay until cancelled. ``ready`` is called whenever the relay has the lease and the tails.

    Raises:
        RelayRefusedError: going on would do harm; the message says what to do.
        StoreRefusedError: the store can't be used as it is set up.
        KeyLoadingError: the logs' key can't be used.
    """
    events = EventStore.open(settings)
    relaying = asyncio.current_task()
    assert relaying is not None  # noqa: S101 - a coroutine runs in a task
    try:
        logs = LogKeeper(settings, events)
        # A Kafka client that is being closed may swallow the cancellation.
        while not relaying.cancelling():
            try:
                async with take_lease(settings) as lease:
                    await _session_or_refill(
                        settings, bootstrap_servers, events, logs, lease, ready=ready
                    )
            except RelayRefusedError:
                raise
            except RestoredError as error:
                raise RelayRefusedError(str(error)) from error
            except asyncio.CancelledError:
                # Where its own tasks end, the Kafka client cancels whoever waits for them.
                if relaying.cancelling():
                    raise
                log.warning("the session ended: the Kafka client gave up")
            except Exception as error:  # noqa: BLE001 - any failure ends the session, none the relay
                log.warning("the session ended: %s: %s", type(error).__name__, error)
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        events.close()


async def _session_or_refill(
    settings: Settings,
    bootstrap_servers: str,
    events: EventStore,
    logs: LogKeeper,
    lease: Lease,
    *,
    ready: Callable[[], None],
) -> None:
    try:
        await _session(settings, bootstrap_servers, events, logs, lease, ready=ready)
    except TopicBrokenError as error:
        log.warning("%s: it is made empty and filled from the start", error)
        if isinstance(error, LostEventsError):
            await keep_lost(settings, bootstrap_servers, events)
        # Under the lease, and not after it: another relay's records would be deleted.
        await lease.changed(0)
        await make_empty(bootstrap_servers, events.identity.partitions)


async def _session(
    settings: Settings,
    bootstrap_servers: str,
    events: EventStore,
    logs: LogKeeper,
    lease: Lease,
    *,
    ready: Callable[[], None],
) -> None:
    await topics.ensure_topics(
        bootstrap_servers,
        partitions=events.identity.partitions,
        replication_factor=settings.kafka_replication_factor,
    )
    async with open_reader(bootstrap_servers) as reader:
        tails = await read_tails(reader, events.identity)
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers, enable_idempotence=True, acks="all"
        )
        await producer.start()
        try:
            progress = ProgressTeller(producer)
            session = Session(events, lease, producer, tails, progress)
            ready()
            await first_to_end(
                session.run(reader),
                progress.run(),
                logs.run(bootstrap_servers, producer, lambda: session.acknowledged),
            )
        finally:
            await _throw_away(producer)


async def _throw_away(producer: AIOKafkaProducer) -> None:
    """Close a producer without sending what it still holds: the next session decides anew."""
    producer._sender.sender_task.cancel()  # noqa: SLF001 - stop() alone would flush
    await producer.stop()


class Session:
    """Relaying with one producer, from the tails on."""

    def __init__(
        self,
        events: EventStore,
        lease: Lease,
        producer: AIOKafkaProducer,
        tails: dict[int, Tail],
        progress: ProgressTeller,
    ) -> None:
        self._events = events
        self._lease = lease
        self._producer = producer
        self._tails = tails
        self._progress = progress
        self._check_at = 0.0
        self._after = self._start()

    async def run(self, reader: AIOKafkaConsumer) -> None:
        """Relay until something is wrong."""
        while True:
            asked = datetime.now(UTC)
            batch = await asyncio.to_thread(self._next)
            if batch:
                await self._produce(batch)
                self._after = batch[-1].id
            behind = len(batch) == BATCH_MAX
            self._progress.moved(self._after, _recorded_at(batch[-1]) if behind else asked)
            idle = not batch and not await self._lease.changed(IDLE_SECONDS)
            if idle or time.monotonic() > self._check_at:
                await self._check_topic(reader)

    @property
    def acknowledged(self) -> int:
        """The id up to which all events are on Kafka."""
        return self._after

    def _start(self) -> int:
        """The id after which something may be missing on the topic."""
        heads = self._events.store.heads()
        for partition, tail in self._tails.items():
            self._expect_ours(partition, tail, heads.get(partition, 0))
        behind = [
            self._tails[partition].last_id
            for partition, head in heads.items()
            if self._tails[partition].last_id < head
        ]
        return min(behind) if behind else max(heads.values(), default=0)

    def _expect_ours(self, partition: int, tail: Tail, head: int) -> None:
        """Make sure that the topic's last event of a partition is in the store, to the byte: else
        the topic tells a history that the store has not.
        """
        select = self._events.store.select_notifications
        stored = select(tail.last_id, 1, stop=tail.last_id, topics=EVENT_TYPES)
        same = tail.exact == b"".join(public_bytes(one.id, one.state) for one in stored)
        if tail.last_id > head or not same:
            if tail.epoch < self._events.identity.epoch:
                raise LostEventsError(
                    f"partition {partition} has event {tail.last_id} of epoch {tail.epoch}, which"
                    " the restored event store has not"
                )
            ahead = "is ahead of" if tail.last_id > head else "has another event than"
            raise RelayRefusedError(
                f"topic {topics.EVENTS} {ahead} the event store in partition {partition}"
                f" (event {tail.last_id}): the store is an old copy. {GO_ON}"
            )

    def _next(self) -> Sequence[Notification]:
        return self._events.store.select_notifications(
            self._after, BATCH_MAX, topics=EVENT_TYPES, inclusive_of_start=False
        )

    async def _produce(self, batch: Sequence[Notification]) -> None:
        """Send a batch and see each record acknowledged at the offset that is due."""
        due = []
        for stored in batch:
            key: str = orjson.loads(stored.state)["subject"]
            partition = partition_of(key, self._events.identity.partitions)
            tail = self._tails[partition]
            if stored.id <= tail.last_id:
                continue
            sent = await self._producer.send(
                topics.EVENTS,
                public_bytes(stored.id, stored.state),
                key=key.encode(),
                partition=partition,
                headers=[(PREV_HEADER, b"%d" % tail.last_id), CONTENT_TYPE_HEADER],
            )
            due.append((partition, tail.next_offset, sent))
            tail.last_id, tail.next_offset = stored.id, tail.next_offset + 1
        acknowledged = await asyncio.gather(*(sent for _, _, sent in due))
        for (partition, offset, _), record in zip(due, acknowledged, strict=True):
            _check_offset(partition, offset, record.offset)

    async def _check_topic(self, reader: AIOKafkaConsumer) -> None:
        """See that the topic still begins and ends where it did: readers need all of it."""
        partitions = [TopicPartition(topics.EVENTS, number) for number in self._tails]
        begins = await reader.beginning_offsets(partitions)
        ends = await reader.end_offsets(partitions)
        for partition in partitions:
            tail = self._tails[partition.partition]
            _check_offset(partition.partition, tail.next_offset, ends[partition])
            if begins[partition] > tail.first_offset:
                raise TopicBrokenError(f"partition {partition.partition} lost its first records")
        self._check_at = time.monotonic() + CHECK_SECONDS


def _recorded_at(stored: Notification) -> datetime:
    return datetime.fromisoformat(orjson.loads(stored.state)["time"])


def _check_offset(partition: int, due: int, found: int) -> None:
    if found < due:
        raise TopicRecreatedError(f"partition {partition} is at {found}, not at {due}")
    if found > due:
        raise OffsetError(f"partition {partition} is at {found}, not at {due}: another writes too")
