"""Following a log on its topic, leaf by leaf, up to where a checkpoint says that it is."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from device_ledger.proofs import CompactRange, leaf_hash
from device_ledger.wire.access import split
from device_ledger.wire.topics import ACCESS, EVENTS

RECORDS_MAX = 1_000
WAIT_MS = 500


class Follower(Protocol):
    """A log's tree, as the witness has seen it with its own eyes."""

    tree: CompactRange

    async def grown_to(self, size: int, position: int) -> CompactRange | None:
        """The tree up to a checkpoint's position, once the topic has so many leaves up to there;
        ``None`` where it has not, or has more. Nothing is kept of it before `keep`."""

    def keep(self, grown: CompactRange, position: int) -> None:
        """Go on from there: it is what a good checkpoint says."""

    def restart(self) -> None:
        """Begin with the first record again, for a log that is another now."""

    def state(self) -> dict[str, Any]:
        """What a new process goes on from, as JSON."""


def _restored(state: dict[str, Any]) -> CompactRange:
    hashes = [bytes.fromhex(text) for text in state.get("hashes", [])]
    return CompactRange(state.get("size", 0), hashes)


def _state(tree: CompactRange) -> dict[str, Any]:
    return {"size": tree.size, "hashes": [one.hex() for one in tree.hashes]}


class EventsFollower:
    """Leaf n is the n-th event by id, and events lie on partitions: those above the last id of a
    checkpoint wait for the next one."""

    def __init__(self, consumer: AIOKafkaConsumer, state: dict[str, Any]) -> None:
        self.tree = _restored(state)
        self._consumer = consumer
        self._last_id: int = state.get("position", 0)
        self._waiting: dict[int, tuple[bytes, int, int]] = {}
        self._read_to: dict[TopicPartition, int] = {}
        self._starts: dict[str, int] = state.get("offsets", {})

    def assign(self, partitions: Iterable[int]) -> None:
        """Read these partitions, each from where it was left."""
        assigned = [TopicPartition(EVENTS, number) for number in sorted(partitions)]
        self._consumer.assign(assigned)
        for at in assigned:
            self._consumer.seek(at, self._starts.get(str(at.partition), 0))
            self._read_to[at] = self._last_id

    async def grown_to(self, size: int, position: int) -> CompactRange | None:
        """See :class:`Follower`."""
        await self._read(position)
        ids = sorted(number for number in self._waiting if number <= position)
        if self.tree.size + len(ids) != size:
            return None
        grown = self.tree.copy()
        for number in ids:
            grown.append(self._waiting[number][0])
        return grown

    def keep(self, grown: CompactRange, position: int) -> None:
        """See :class:`Follower`."""
        self.tree, self._last_id = grown, position
        for number in [number for number in self._waiting if number <= position]:
            _, partition, offset = self._waiting.pop(number)
            self._starts[str(partition)] = offset + 1

    def restart(self) -> None:
        """See :class:`Follower`."""
        self.tree, self._last_id = _restored({}), 0
        self._waiting, self._starts = {}, {}
        self.assign([at.partition for at in self._read_to])

    def state(self) -> dict[str, Any]:
        """See :class:`Follower`."""
        return {**_state(self.tree), "position": self._last_id, "offsets": self._starts}

    async def _read(self, position: int) -> None:
        """Read each partition until it is past an id, or at its end as it is now."""
        ends = await self._consumer.end_offsets(list(self._read_to))
        for at, end in ends.items():
            # Offsets went back: the topic was made anew, and what comes again is passed over.
            if await self._consumer.position(at) > end:
                self._consumer.seek(at, 0)
        while behind := [at async for at in self._behind(ends, position)]:
            found = await self._consumer.getmany(
                *behind, timeout_ms=WAIT_MS, max_records=RECORDS_MAX
            )
            if not found:
                ends = await self._consumer.end_offsets(behind)
            for at, records in found.items():
                for record in records:
                    self._take(at, record)

    async def _behind(self, ends: dict[TopicPartition, int], position: int) -> Any:
        for at, end in ends.items():
            if self._read_to[at] <= position and await self._consumer.position(at) < end:
                yield at

    def _take(self, at: TopicPartition, record: "ConsumerRecord[bytes, bytes]") -> None:
        try:
            number = int(orjson.loads(record.value or b"")["id"])
        except (ValueError, KeyError, TypeError):
            return
        if number > self._last_id:
            hashed = leaf_hash(record.value or b"")
            self._waiting.setdefault(number, (hashed, at.partition, record.offset))
        self._read_to[at] = max(self._read_to[at], number)


class AccessFollower:
    """Leaf n is the n-th line of the topic; a position is the offset after the last record."""

    _partition = TopicPartition(ACCESS, 0)

    def __init__(self, consumer: AIOKafkaConsumer, state: dict[str, Any]) -> None:
        self.tree = _restored(state)
        self._consumer = consumer
        self._position: int = state.get("position", 0)

    def assign(self) -> None:
        """Read the topic from where it was left."""
        self._consumer.assign([self._partition])

    async def grown_to(self, size: int, position: int) -> CompactRange | None:
        """See :class:`Follower`."""
        [end] = (await self._consumer.end_offsets([self._partition])).values()
        if not self._position <= position <= end:
            return None
        grown = self.tree.copy()
        self._consumer.seek(self._partition, self._position)
        while await self._consumer.position(self._partition) < position:
            found = await self._consumer.getmany(
                self._partition, timeout_ms=WAIT_MS, max_records=RECORDS_MAX
            )
            for leaf in _leaves(found.get(self._partition, []), position):
                grown.append(leaf)
            [end] = (await self._consumer.end_offsets([self._partition])).values()
            if end < position:
                return None
        return grown if grown.size == size else None

    def keep(self, grown: CompactRange, position: int) -> None:
        """See :class:`Follower`."""
        self.tree, self._position = grown, position

    def restart(self) -> None:
        """See :class:`Follower`."""
        self.tree, self._position = _restored({}), 0

    def state(self) -> dict[str, Any]:
        """See :class:`Follower`."""
        return {**_state(self.tree), "position": self._position}


def _leaves(records: "list[ConsumerRecord[bytes, bytes]]", before: int) -> Iterator[bytes]:
    for record in records:
        if record.offset < before and record.value is not None:
            yield from map(leaf_hash, split(record.value))
