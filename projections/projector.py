"""The loop around every ``apply``: written once, for the stream, the rebuild and the tests.

A batch is sifted by the guard, folded to the last state of each row, and written together with
the position that it leads to, in one transaction that has the position locked.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from device_ledger.wire.codec import Record
from projections.guard import (
    BrokenChainError,
    HistoryChangedError,
    KafkaRecord,
    Malformed,
    Sifted,
    Standing,
    parse,
    sift,
)
from projections.model import ReadModel
from projections.store import Generation, Transaction
from projections.threads import finish_in_thread
from projections.topic import DeadLetters, Reading, Topic

Report = Callable[[int, int], None]
"""Told the records read so far, and how many there are."""


_UNFIT = (KeyError, TypeError, ValueError, AttributeError)
"""What `apply` raises on an event whose data are not as they should be."""


class _ParkFirstError(Exception):
    """These records must be in the dead letters before the position may pass them."""

    def __init__(self, letters: Sequence[Malformed]) -> None:
        super().__init__(len(letters))
        self.letters = letters


class Projector:
    """Applies events to one generation of a read model. One batch at a time."""

    def __init__(
        self,
        model: ReadModel,
        generation: Generation,
        topic: Topic,
        dead_letters: DeadLetters,
        parked_below: Mapping[int, int] | None = None,
    ) -> None:
        """``parked_below`` gives offsets by partition: what can't be read below was parked before,
        by the generation that this one takes the place of."""
        self._parked_below = parked_below or {}
        self._model = model
        self._generation = generation
        self._topic = topic
        self._dead_letters = dead_letters
        self._parked: dict[tuple[int, int], Malformed] = {}

    async def apply(self, batch: Sequence[KafkaRecord]) -> None:
        """Let a stream's records take effect, in whatever order and as often as they come.

        Where some are missing before them, those are fetched from the topic first. What was
        true before holds after any exception: rows and position changed together or not at all.

        Raises:
            GenerationGoneError: the generation was replaced or lost.
            BrokenChainError: the topic lacks an event.
            HistoryChangedError: the topic tells another history.
        """
        sifted = await self._write(batch, trusted=False, holes=())
        if sifted.gaps:
            await self.catch_up(sifted.gaps)

    async def catch_up(self, partitions: Collection[int], report: Report | None = None) -> None:
        """Read these partitions from where the read model stands to their ends, in bulk.

        Raises: as `apply`.
        """
        async with self._topic.reading() as reading:
            bounds = await reading.bounds(partitions)
            standings = await self.standings()
            await _CatchUp(self, reading, bounds, standings, report).run()

    async def standings(self) -> dict[int, Standing]:
        """Where the read model stands, by partition."""
        return await finish_in_thread(self._generation.standings)

    async def _write(
        self, batch: Sequence[KafkaRecord], *, trusted: bool, holes: Collection[int]
    ) -> Sifted:
        while True:
            try:
                written = await finish_in_thread(self._transact, batch, trusted, holes)
            except _ParkFirstError as needed:
                await self._dead_letters.park(self._model.name, needed.letters)
                self._parked |= {(x.raw.partition, x.raw.offset): x for x in needed.letters}
            else:
                self._parked.clear()
                return written

    def _transact(
        self, batch: Sequence[KafkaRecord], trusted: bool, holes: Collection[int]
    ) -> Sifted:
        partitions = {raw.partition for raw in batch}
        with self._generation.transaction(partitions) as transaction:
            before = transaction.standings
            sifted = sift(before, batch, trusted=trusted, holes=holes)
            self._hold_back(sifted.malformed)
            self._fold(transaction, sifted.records)
            moved = {p: at for p, at in sifted.standings.items() if at != before[p]}
            if moved:
                transaction.move(moved)
        return sifted

    def _hold_back(self, malformed: Sequence[Malformed]) -> None:
        new = [letter for letter in malformed if not self._is_parked(letter.raw)]
        if new:
            raise _ParkFirstError(new)

    def _is_parked(self, raw: KafkaRecord) -> bool:
        below = self._parked_below.get(raw.partition, 0)
        return raw.offset < below or (raw.partition, raw.offset) in self._parked

    def _fold(
        self, transaction: Transaction, records: Sequence[tuple[KafkaRecord, Record]]
    ) -> None:
        keyed = self._keyed(records)
        before = transaction.load({key for key, _, _ in keyed}) if keyed else {}
        after: dict[str, Any] = {}
        partition_of: dict[str, int] = {}
        for key, raw, record in keyed:
            row = after[key] if key in after else before.get(key)
            after[key] = self._apply_one(row, raw, record)
            partition_of[key] = record.partition
        changed = sorted(key for key in after if after[key] != before.get(key))
        transaction.save([after[key] for key in changed if after[key] is not None])
        transaction.remove([key for key in changed if after[key] is None])
        if self._model.counted_by:
            changes = [(partition_of[key], before.get(key), after[key]) for key in changed]
            transaction.count(_deltas(self._model.counted_by, changes))

    def _keyed(
        self, records: Sequence[tuple[KafkaRecord, Record]]
    ) -> list[tuple[str, KafkaRecord, Record]]:
        keyed = []
        for raw, record in records:
            try:
                key = self._model.key_of(record.event)
            except _UNFIT as error:
                key = self._given_up(raw, error, None)
            if key is not None:
                keyed.append((key, raw, record))
        return keyed

    def _apply_one(self, row: Any, raw: KafkaRecord, record: Record) -> Any:
        try:
            return self._model.apply(row, record.event)
        except _UNFIT as error:
            return self._given_up(raw, error, row)

    def _given_up(self, raw: KafkaRecord, error: Exception, unchanged: Any) -> Any:
        if not self._is_parked(raw):
            raise _ParkFirstError([_unfit(raw, error)]) from None
        return unchanged


class _CatchUp:
    """One reading of the topic, from where a read model stands to the ends."""

    def __init__(
        self,
        projector: Projector,
        reading: Reading,
        bounds: Mapping[int, tuple[int, int]],
        standings: Mapping[int, Standing],
        report: Report | None,
    ) -> None:
        self._projector = projector
        self._reading = reading
        self._bounds = bounds
        self._standings = standings
        self._report = report
        self._holes: set[int] = set()
        self._unproven: set[int] = set()
        self._restarted: set[int] = set()

    async def run(self) -> None:
        starts = {partition: self._start(partition) for partition in self._bounds}
        ends = {partition: end for partition, (_, end) in self._bounds.items()}
        total = sum(max(0, ends[partition] - starts[partition]) for partition in ends)
        read = 0
        async for found in self._reading.batches(starts, ends):
            proven = [p for p in found if self._is_proven(p, found[p][0])]
            await self._take([raw for p in proven for raw in found[p]])
            read += sum(len(found[p]) for p in proven)
            if self._report:
                self._report(read, total)

    def _start(self, partition: int) -> int:
        begin, end = self._bounds[partition]
        at = self._standings[partition]
        if at.last_id and begin <= at.last_offset < end:
            self._unproven.add(partition)
            return at.last_offset
        if at.last_id:
            self._restarted.add(partition)
        return begin

    def _is_proven(self, partition: int, first: KafkaRecord) -> bool:
        """Whether the record at the stored offset is the event applied; else back to the start."""
        if partition not in self._unproven:
            return True
        self._unproven.discard(partition)
        at = self._standings[partition]
        item = parse(first)
        if isinstance(item, Record) and (item.event.id, item.event.source) == (
            at.last_id,
            at.source,
        ):
            return True
        self._restarted.add(partition)
        self._reading.seek(partition, self._bounds[partition][0])
        return False

    async def _take(self, batch: Sequence[KafkaRecord]) -> None:
        if not batch:
            return
        sifted = await self._projector._write(batch, trusted=True, holes=self._holes)  # noqa: SLF001
        self._holes = sifted.holes
        for partition in sorted(sifted.gaps):
            last = sifted.standings[partition].last_id
            if partition in self._restarted:
                raise HistoryChangedError(
                    f"partition {partition}: event {last} is not on the topic"
                )
            raise BrokenChainError(f"partition {partition}: the topic lacks what follows {last}")


def _deltas(column: str, changes: Sequence[tuple[int, Any, Any]]) -> dict[tuple[str, int], int]:
    deltas: Counter[tuple[str, int]] = Counter()
    for partition, before, after in changes:
        if before is not None:
            deltas[getattr(before, column), partition] -= 1
        if after is not None:
            deltas[getattr(after, column), partition] += 1
    return {key: delta for key, delta in sorted(deltas.items()) if delta}


def _unfit(raw: KafkaRecord, error: Exception) -> Malformed:
    # A KeyError names a field; other messages may quote values.
    detail = f" {error}" if isinstance(error, KeyError) else ""
    return Malformed(raw, f"can't be applied: {type(error).__name__}{detail}")
