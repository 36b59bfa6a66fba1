"""The loop around every ``apply``: written once, for the stream, the rebuild and the tests.

A batch is sifted by the guard, folded to the last state of each row, and written together with
the position that it leads to, in one transaction that has the position locked.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from device_ledger.wire.codec import Record
from device_ledger.wire.fields import FIELD_NAMES
from projections.catching_up import CatchUp, Report
from projections.dead_letters import DeadLetters
from projections.guard import KafkaRecord, Malformed, Sifted, Standing, sift
from projections.model import Appended, Folded, ReadModel
from projections.store import Generation, Transaction
from projections.threads import finish_in_thread
from projections.topic import Topic

Sifting = Callable[[Mapping[int, Standing]], Sifted]
"""Sifts a batch, given where a read model stands."""

UNFIT = (KeyError, TypeError, ValueError, AttributeError)
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
        self._unfit: list[Malformed] = []
        self._checks = False

    async def apply(self, batch: Sequence[KafkaRecord]) -> None:
        """Let a stream's records take effect, in whatever order and as often as they come.

        Where some are missing before them, those are fetched from the topic first. What was
        true before holds after any exception: rows and position changed together or not at all.

        Raises:
            GenerationGoneError: the generation was replaced or lost.
            BrokenChainError: the topic lacks an event.
            HistoryChangedError: the topic tells another history.
        """
        sifted = await self._write(batch, self._sifting(batch, None))
        if sifted.gaps:
            await self.catch_up(sifted.gaps)

    async def catch_up(self, partitions: Collection[int], report: Report | None = None) -> None:
        """Read these partitions from where the read model stands to their ends, in bulk.

        Raises: as `apply`.
        """
        async with self._topic.reading() as reading:
            # In this order: where another worker moves on meanwhile, the topic has moved before.
            standings = await self.standings()
            bounds = await reading.bounds(partitions)
            catching_up = CatchUp(self._model, reading, bounds, standings, report)
            await catching_up.run(self._write_trusted)

    async def standings(self) -> dict[int, Standing]:
        """Where the read model stands, by partition."""
        return await finish_in_thread(self._generation.standings)

    async def _write_trusted(
        self,
        batch: Sequence[KafkaRecord],
        holes: Collection[int],
        standings: Mapping[int, Standing],
    ) -> Sifted:
        return await self._write(batch, self._sifting(batch, holes), standings)

    def _sifting(self, batch: Sequence[KafkaRecord], holes: Collection[int] | None) -> Sifting:
        """How the batch is sifted; ``holes`` as `sift` has it, None for records of a stream."""
        return partial(
            sift,
            batch=batch,
            trusted=holes is not None,
            holes=holes or (),
            parse=self._model.parse,
            chained=self._model.chained,
            wanted=self._is_wanted,
        )

    async def _write(
        self,
        batch: Sequence[KafkaRecord],
        sifting: Sifting,
        expected: Mapping[int, Standing] | None = None,
    ) -> Sifted:
        while True:
            try:
                written = await finish_in_thread(self._transact, batch, sifting, expected)
            except _ParkFirstError as needed:
                await self._dead_letters.park(self._model, needed.letters)
                self._parked |= {(x.raw.partition, x.raw.offset): x for x in needed.letters}
            except Exception:
                # What the database can't take stops all: find whose it is, where it was that.
                if self._checks:
                    raise
                self._checks = True
            else:
                self._parked.clear()
                self._checks = False
                return written

    def _transact(
        self,
        batch: Sequence[KafkaRecord],
        sifting: Sifting,
        expected: Mapping[int, Standing] | None,
    ) -> Sifted:
        partitions = {raw.partition for raw in batch}
        # What takes longest is done before others have to wait for the transaction's end.
        sifted = sifting(expected) if expected else None
        with self._generation.transaction(partitions) as transaction:
            before = transaction.standings
            if not sifted or not expected or any(expected[p] != before[p] for p in partitions):
                sifted = sifting(before)
            self._hold_back(sifted.malformed)
            self._unfit.clear()
            self._change(transaction, sifted.records)
            moved = {p: sifted.standings[p] for p in partitions if sifted.standings[p] != before[p]}
            if moved:
                transaction.move(moved)
        return sifted

    def _is_wanted(self, record: Record) -> bool:
        """Whether a record touches a row, or can't be asked: that is told where it is applied."""
        if not isinstance(self._model, Folded):
            return True
        try:
            return self._model.key_of(record.event) is not None
        except UNFIT:
            return True

    def _hold_back(self, malformed: Sequence[Malformed]) -> None:
        new = [letter for letter in malformed if not self._is_parked(letter.raw)]
        if new:
            raise _ParkFirstError(new)

    def _is_parked(self, raw: KafkaRecord) -> bool:
        below = self._parked_below.get(raw.partition, 0)
        return raw.offset < below or (raw.partition, raw.offset) in self._parked

    def _change(
        self, transaction: Transaction, records: Sequence[tuple[KafkaRecord, Record]]
    ) -> None:
        if isinstance(self._model, Folded):
            self._fold(self._model, transaction, records)
        elif isinstance(self._model, Appended):
            self._append(self._model, transaction, records)

    def _append(
        self,
        model: Appended,
        transaction: Transaction,
        records: Sequence[tuple[KafkaRecord, Record]],
    ) -> None:
        rows: list[Any] = []
        for raw, record in records:
            try:
                made = model.rows_of(raw, record.event)
                self._check(made)
            except UNFIT as error:
                self._give_up(raw, error)
            else:
                rows += made
        self._park_unfit()
        if rows:
            transaction.append(rows)

    def _fold(
        self,
        model: Folded,
        transaction: Transaction,
        records: Sequence[tuple[KafkaRecord, Record]],
    ) -> None:
        keyed = self._keyed(model, records)
        before = transaction.load({key for key, _, _ in keyed}) if keyed else {}
        after: dict[str, Any] = {}
        partition_of: dict[str, int] = {}
        for key, raw, record in keyed:
            row = after[key] if key in after else before.get(key)
            after[key] = self._apply_one(model, row, raw, record)
            partition_of[key] = record.partition
        self._park_unfit()
        changed = sorted(key for key in after if after[key] != before.get(key))
        transaction.save([after[key] for key in changed if after[key] is not None])
        transaction.remove([key for key in changed if after[key] is None])
        if model.counted_by:
            changes = [(partition_of[key], before.get(key), after[key]) for key in changed]
            transaction.count(_deltas(model.counted_by, changes))

    def _keyed(
        self, model: Folded, records: Sequence[tuple[KafkaRecord, Record]]
    ) -> list[tuple[str, KafkaRecord, Record]]:
        keyed = []
        for raw, record in records:
            try:
                key = model.key_of(record.event)
                hash(key)
            except UNFIT as error:
                self._give_up(raw, error)
                continue
            if key is not None:
                keyed.append((key, raw, record))
        return keyed

    def _apply_one(self, model: Folded, row: Any, raw: KafkaRecord, record: Record) -> Any:
        try:
            after = model.apply(row, record.event)
            self._check([] if after is None else [after])
        except UNFIT as error:
            self._give_up(raw, error)
            return row
        return after

    def _check(self, rows: Sequence[Any]) -> None:
        """Refuse rows that not every database can take, once one has refused something."""
        if self._checks and not all(map(self._model.fits, rows)):
            raise ValueError

    def _give_up(self, raw: KafkaRecord, error: Exception) -> None:
        if not self._is_parked(raw):
            self._unfit.append(_unfit(raw, error))

    def _park_unfit(self) -> None:
        if self._unfit:
            raise _ParkFirstError(self._unfit.copy())


def _deltas(column: str, changes: Sequence[tuple[int, Any, Any]]) -> dict[tuple[str, int], int]:
    deltas: Counter[tuple[str, int]] = Counter()
    for partition, before, after in changes:
        if before is not None:
            deltas[getattr(before, column), partition] -= 1
        if after is not None:
            deltas[getattr(after, column), partition] += 1
    return {key: delta for key, delta in sorted(deltas.items()) if delta}


def _unfit(raw: KafkaRecord, error: Exception) -> Malformed:
    # A field's name may be told; whatever else a message has may be somebody's value.
    name = error.args[0] if isinstance(error, KeyError) and error.args else ""
    detail = f" {name!r}" if name in FIELD_NAMES else ""
    return Malformed(raw, f"can't be applied: {type(error).__name__}{detail}", unfit=True)
