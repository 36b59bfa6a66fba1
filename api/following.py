"""Following topics of one partition: how far the relay is, and which dead letters are open."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from api.moments import written
from api.readiness import kafka_answers
from device_ledger.wire.codec import MalformedRecordError
from device_ledger.wire.dead_letters import Letters
from device_ledger.wire.progress import decode
from device_ledger.wire.topics import DEAD_LETTERS, PROGRESS

_log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0
CONNECT_SECONDS: Final = 5.0
_WAIT_MS: Final = 60_000
_MOST: Final = 500


class Followed(Protocol):
    """What is made of a topic."""

    topic: str

    def begin(self, first: int, end: int) -> int:
        """At which offset to begin, of those that there are now; what was taken comes again."""

    def take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        """Take the next record."""


async def follow(brokers: str, followed: Followed) -> None:
    """Let it take what comes, until cancelled; Kafka may come and go."""
    while True:
        # First without the library, which logs each attempt as an error.
        if await kafka_answers(brokers):
            try:
                async with _reading(brokers, TopicPartition(followed.topic, 0)) as consumer:
                    await _take_all(consumer, followed)
            except (KafkaError, OSError, TimeoutError) as error:
                _log.warning("%s can't be read: %s", followed.topic, type(error).__name__)
        await asyncio.sleep(AGAIN_SECONDS)


async def _take_all(consumer: AIOKafkaConsumer, followed: Followed) -> None:
    [at] = consumer.assignment()
    [first] = (await consumer.beginning_offsets([at])).values()
    [end] = (await consumer.end_offsets([at])).values()
    consumer.seek(at, followed.begin(first, end))
    while True:
        found = await consumer.getmany(at, timeout_ms=_WAIT_MS, max_records=_MOST)
        for record in found.get(at, ()):
            followed.take(record)


@asynccontextmanager
async def _reading(brokers: str, at: TopicPartition) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
    )
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await consumer.start()
        consumer.assign([at])
        yield consumer
    finally:
        # As a task: while Kafka is away it may raise the CancelledError of a task of its own.
        await asyncio.wait([asyncio.create_task(consumer.stop())])


class Relayed:
    """What the relay told last; ``position`` is 0 and ``through`` empty before it told anything."""

    topic = PROGRESS

    def __init__(self) -> None:
        self.position = 0
        self.through = ""

    def begin(self, first: int, end: int) -> int:
        """With the newest record that there is."""
        return max(first, end - 1)

    def take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        """See :class:`Followed`."""
        try:
            told = decode(record.value)
            datetime.fromisoformat(told.through)
        except (MalformedRecordError, ValueError):
            return
        # Another relay may begin behind the last one: what was there stays so.
        self.position = max(self.position, told.position)
        self.through = max(self.through, min(told.through, written(datetime.now(UTC))))

    def seconds_behind(self, now: datetime) -> float:
        """How long ago the time is up to which every event is on Kafka; 0 where it isn't known."""
        if not self.through:
            return 0.0
        return max(0.0, (now - datetime.fromisoformat(self.through)).total_seconds())


class OpenLetters:
    """How many dead letters are open."""

    topic = DEAD_LETTERS

    def __init__(self) -> None:
        self._letters = Letters()

    @property
    def count(self) -> int:
        """As far as they were read."""
        return len(self._letters)

    def begin(self, first: int, end: int) -> int:  # noqa: ARG002 - as of all that are followed
        """With the first: only all of them tell which are open."""
        self._letters = Letters()
        return first

    def take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        """See :class:`Followed`."""
        self._letters.take(record.headers, None, record.timestamp)
