"""Where records go that can't be taken: as they came, with the reason and where they lay."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from device_ledger.wire.dead_letters import (
    EVERY_READ_MODEL,
    Letter,
    Letters,
    Place,
    settled,
)
from device_ledger.wire.topics import DEAD_LETTERS
from projections.guard import KafkaRecord, Malformed
from projections.model import ReadModel

REMEMBERED = 10_000
"""Letters that a process knows it has sent, so that each record is sent once for all readers."""


_Due = tuple[Letter, KafkaRecord]


def key_of(raw: KafkaRecord) -> bytes | None:
    """The record's key; the client sends none that has neither key nor value."""
    return b"" if raw.value is None and raw.key is None else raw.key


def letter_of(model: ReadModel, found: Malformed) -> Letter:
    """What is told of a record that a read model couldn't take."""
    raw = found.raw
    read_model = model.name if found.unfit else EVERY_READ_MODEL
    return Letter(Place(model.topic, raw.partition, raw.offset), read_model, found.reason)


class DeadLetters:
    """The topic of dead letters. One is enough for all read models of a process."""

    def __init__(self, bootstrap_servers: str, name: str = DEAD_LETTERS) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._name = name
        self._lock = asyncio.Lock()
        self._sent: OrderedDict[tuple[Letter, bytes | None], None] = OrderedDict()

    async def park(self, model: ReadModel, found: Sequence[Malformed]) -> None:
        """Send records to the dead letters; returns when the broker has them for good.

        What no read model can read is sent once by a process, whichever finds it first.

        Raises:
            KafkaError: it has not.
        """
        letters = [(letter_of(model, one), one.raw) for one in found]
        async with self._lock:
            due: Sequence[_Due] = [
                (one, raw) for one, raw in letters if (one, raw.value) not in self._sent
            ]
            while due:
                due = await self._send(due)

    async def settle(self, letters: Sequence[tuple[Place, str]], how: str) -> None:
        """Say of letters, by their places and read models, that they are settled.

        Raises:
            KafkaError: the broker doesn't have that for good.
        """
        async with self._producing() as producer:
            for place, read_model in letters:
                headers = settled(place, read_model, how)
                await producer.send_and_wait(self._name, key=b"", value=None, headers=headers)

    async def read(self) -> Letters:
        """The letters that are open now.

        Raises:
            KafkaError: no broker can be reached.
        """
        letters = Letters()
        at = TopicPartition(self._name, 0)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            # Stopped before its own task ran once, the consumer raises CancelledError.
            await asyncio.sleep(0)
            consumer.assign([at])
            [end] = (await consumer.end_offsets([at])).values()
            await consumer.seek_to_beginning(at)
            while await consumer.position(at) < end:
                for raw in (await consumer.getmany(at, timeout_ms=1_000)).get(at, ()):
                    letters.take(raw.headers, raw.value, raw.timestamp)
        finally:
            await consumer.stop()
        return letters

    @asynccontextmanager
    async def _producing(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers, acks="all", enable_idempotence=True
        )
        try:
            await producer.start()
            yield producer
        finally:
            await producer.stop()

    async def _send(self, due: Sequence[_Due]) -> Sequence[_Due]:
        """Send letters, up to one that is too large as it came; those that are left then."""
        async with self._producing() as producer:
            for number, (letter, raw) in enumerate(due):
                headers = [*raw.headers, *letter.headers()]
                try:
                    await producer.send_and_wait(
                        self._name, key=key_of(raw), value=raw.value, headers=headers
                    )
                except MessageSizeTooLargeError:
                    await self._send_cut(letter)
                    self._remember(letter, raw.value)
                    # This producer has counted what the broker refused.
                    return due[number + 1 :]
                self._remember(letter, raw.value)
        return []

    async def _send_cut(self, letter: Letter) -> None:
        """Send a letter without the record, which lies where it lay."""
        async with self._producing() as producer:
            headers = letter.headers(cut=True)
            await producer.send_and_wait(self._name, key=b"", value=None, headers=headers)

    def _remember(self, letter: Letter, value: bytes | None) -> None:
        self._sent[letter, value] = None
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
