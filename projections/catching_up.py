"""Reading a topic in bulk, from where a read model stands; and whether it still tells the same."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from device_ledger.wire.codec import Record
from projections.guard import (
    BrokenChainError,
    HistoryChangedError,
    KafkaRecord,
    Sifted,
    Standing,
)
from projections.model import ReadModel
from projections.topic import Reading

Report = Callable[[int, int], None]
"""Told the records read so far, and how many there are."""

Write = Callable[
    [Sequence[KafkaRecord], Collection[int], Mapping[int, Standing]], Awaitable[Sifted]
]
"""Has records written that were read one after the other, given the `holes` of `guard.sift` and
where the read model stands unless others write it."""


class CatchUp:
    """One reading of the topic, from where a read model stands to the ends."""

    def __init__(
        self,
        model: ReadModel,
        reading: Reading,
        bounds: Mapping[int, tuple[int, int]],
        standings: Mapping[int, Standing],
        report: Report | None,
    ) -> None:
        self._model = model
        self._reading = reading
        self._bounds = bounds
        self._standings = standings
        self._expected = dict(standings)
        self._report = report
        self._holes: set[int] = set()
        self._unproven: set[int] = set()
        self._restarted: set[int] = set()

    async def run(self, write: Write) -> None:
        """Read to the ends, and have all of it written.

        Raises:
            BrokenChainError: the topic lacks an event.
            HistoryChangedError: the topic tells another history.
        """
        starts = {partition: self._start(partition) for partition in self._bounds}
        ends = {partition: end for partition, (_, end) in self._bounds.items()}
        total = sum(max(0, ends[partition] - starts[partition]) for partition in ends)
        read = 0
        # A batch is written in a thread while the next one is read.
        writing = asyncio.create_task(self._take([], write))
        try:
            async for found in self._reading.batches(starts, ends):
                proven = [p for p in found if self._is_proven(p, found[p][0])]
                batch = [raw for p in proven for raw in found[p]]
                await writing
                if self._report:
                    self._report(read, total)
                writing = asyncio.create_task(self._take(batch, write))
                read += len(batch)
            await writing
            if self._report:
                self._report(read, total)
        finally:
            await _ended(writing)

    def _start(self, partition: int) -> int:
        begin, end = self._bounds[partition]
        at = self._standings[partition]
        if at.last_id and begin <= at.last_offset < end:
            self._unproven.add(partition)
            return at.last_offset
        # Without a chain, what was removed below the new beginning is not a change of history.
        cut = not self._model.chained and at.last_offset < begin and at.next_offset <= end
        if at.last_id and not cut:
            self._restart(partition)
        return begin

    def _restart(self, partition: int) -> None:
        """Go through all of a partition again: its chain tells what was applied already."""
        if not self._model.chained:
            last = self._standings[partition].last_offset
            raise HistoryChangedError(
                f"partition {partition}: the record at {last} is not the one applied"
            )
        self._restarted.add(partition)

    def _is_proven(self, partition: int, first: KafkaRecord) -> bool:
        """Whether the record at the stored offset is the event applied; else back to the start."""
        if partition not in self._unproven:
            return True
        self._unproven.discard(partition)
        at = self._standings[partition]
        item = self._model.parse(first)
        if isinstance(item, Record) and (item.event.id, item.event.source) == (
            at.last_id,
            at.source,
        ):
            return True
        self._restart(partition)
        self._reading.seek(partition, self._bounds[partition][0])
        return False

    async def _take(self, batch: Sequence[KafkaRecord], write: Write) -> None:
        if not batch:
            return
        sifted = await write(batch, self._holes, self._expected)
        self._holes = sifted.holes
        self._expected |= sifted.standings
        for partition in sorted(sifted.gaps):
            last = sifted.standings[partition].last_id
            if partition in self._restarted:
                raise HistoryChangedError(
                    f"partition {partition}: event {last} is not on the topic"
                )
            raise BrokenChainError(f"partition {partition}: the topic lacks what follows {last}")


async def _ended(task: asyncio.Task[None]) -> None:
    """Stop a task and wait for its end: nothing is written after an error or a cancellation."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
