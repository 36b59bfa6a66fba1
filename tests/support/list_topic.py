"""A topic that is a list, for tests of what stands on one; it passes the real one's contract."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy

from device_ledger.wire.dead_letters import Letters, Place, settled
from projections.dead_letters import DeadLetters, letter_of
from projections.guard import KafkaRecord, Malformed
from projections.model import ReadModel
from projections.topic import Reading, Topic


class ListTopic(Topic):
    """The events topic in memory. ``batch`` records of a partition are given at once."""

    def __init__(
        self, partitions: int, records: Iterable[KafkaRecord] = (), batch: int = 5
    ) -> None:
        self.batch = batch
        self.readings = 0
        self.held: dict[int, list[KafkaRecord]] = {number: [] for number in range(partitions)}
        self.ends = dict.fromkeys(range(partitions), 0)
        self._added = asyncio.Event()
        self.add(records)

    def add(self, records: Iterable[KafkaRecord]) -> None:
        """Append records to their partitions; they get the offsets that come next there."""
        for record in records:
            offset = self.ends[record.partition]
            self.held[record.partition].append(record._replace(offset=offset))
            self.ends[record.partition] += 1
        self._added.set()

    async def grown(self) -> None:
        """Return when records are added."""
        self._added.clear()
        await self._added.wait()

    def empty(self) -> None:
        """Remove all records; offsets go on where they were."""
        self.held = {number: [] for number in self.held}

    def remake(self) -> None:
        """Begin again: no records, offsets from zero."""
        self.empty()
        self.ends = dict.fromkeys(self.ends, 0)

    async def partitions(self) -> int:
        """The number of its partitions."""
        return len(self.held)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        """Open a reading."""
        self.readings += 1
        yield ListReading(self)


class ListReading(Reading):
    """A reading of a list."""

    def __init__(self, topic: ListTopic) -> None:
        self._list = topic
        self._at: dict[int, int] = {}

    async def bounds(self, partitions: Collection[int]) -> dict[int, tuple[int, int]]:
        """For each partition its first offset and the one that the next record will get."""
        ends = self._list.ends
        return {p: (ends[p] - len(self._list.held[p]), ends[p]) for p in partitions}

    async def batches(
        self, starts: Mapping[int, int], ends: Mapping[int, int]
    ) -> AsyncIterator[dict[int, list[KafkaRecord]]]:
        """The records between these offsets, in order within a partition."""
        self._at = {partition: starts[partition] for partition in ends}
        while wanted := [p for p in ends if self._at[p] < ends[p]]:
            found = {}
            for partition in wanted:
                held = [r for r in self._list.held[partition] if r.offset >= self._at[partition]]
                found[partition] = held[: self._list.batch]
                self._at[partition] = found[partition][-1].offset + 1 if held else ends[partition]
            yield {partition: records for partition, records in found.items() if records}

    def seek(self, partition: int, offset: int) -> None:
        """Go on from another offset of a partition."""
        self._at[partition] = offset

    def begin(self, starts: Mapping[int, int]) -> None:
        """Read on from these offsets."""
        self._at = dict(starts)

    async def more(self, within: float) -> list[KafkaRecord]:
        """The next records; none where none came in those seconds."""
        try:
            async with asyncio.timeout(within):
                while not (found := self._next()):
                    await self._list.grown()
        except TimeoutError:
            return []
        return found

    def _next(self) -> list[KafkaRecord]:
        found = []
        for partition, at in self._at.items():
            held = [r for r in self._list.held[partition] if r.offset >= at][: self._list.batch]
            found += held
            if held:
                self._at[partition] = held[-1].offset + 1
        return found


class ListDeadLetters(DeadLetters):
    """Dead letters in memory: the reader and what it parked, and what was settled since."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, Malformed]] = []
        self._held = Letters()

    async def park(self, model: ReadModel, found: Sequence[Malformed]) -> None:
        """Keep them."""
        for one in found:
            self.letters.append((model.name, one))
            headers = [*one.raw.headers, *letter_of(model, one).headers()]
            self._held.take(headers, one.raw.value, 0)

    async def settle(self, letters: Sequence[tuple[Place, str]], how: str) -> None:
        """Settle them."""
        for place, read_model in letters:
            self._held.take(settled(place, read_model, how), None, 0)

    async def read(self) -> Letters:
        """Those that are open."""
        return deepcopy(self._held)
