"""Changes of the code that would break a promise: each must be found by the checker.

The code itself is never touched: `tests.faults.launcher` changes a module's text as it loads it.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Mutant:
    """A module in which each of some pieces of text, there once, is replaced by another."""

    module: str
    changes: tuple[tuple[str, str], ...]

    def applied(self, source: str) -> str:
        """The module's text, changed."""
        for old, new in self.changes:
            if source.count(old) != 1:
                raise ValueError(f"{self.module} has {old!r} {source.count(old)} times, not once")
            source = source.replace(old, new)
        return source


MUTANTS: Final = {
    "receipt-after-commit": Mutant(
        "device_ledger.ledger.attempt",
        (
            (
                (
                    "        unit = Unit(self.aggregates.read, self._events, self._partitions,"
                    " self._receipts, self._now)\n        return self._recorder.append(unit)\n"
                ),
                (
                    "        unit = Unit(self.aggregates.read, self._events, self._partitions, (),"
                    " self._now)\n"
                    "        position = self._recorder.append(unit)\n"
                    "        self._recorder.append(Unit({}, (), (), self._receipts, self._now))\n"
                    "        return position\n"
                ),
            ),
        ),
    ),
    "ids-without-the-lock": Mutant(
        "device_ledger.ledger.postgres_store",
        (("                self._lock_table(c)\n", "                id(c)\n"),),
    ),
    # Without its checks of offsets too: they alone would have the topic filled again.
    "on-after-an-error": Mutant(
        "device_ledger.relay.relay",
        (
            (
                "        acknowledged = await asyncio.gather(*(sent for _, _, sent in due))\n",
                "        await asyncio.gather(*(one[2] for one in due), return_exceptions=True)\n",
            ),
            (
                (
                    "        for (partition, offset, _), record in zip(due, acknowledged,"
                    " strict=True):\n"
                    "            _check_offset(partition, offset, record.offset)\n"
                ),
                "",
            ),
            (
                "def _check_offset(",
                "def _check_offset(*_: int) -> None:\n    return\n\n\ndef _x(",
            ),
        ),
    ),
    "no-prev-check": Mutant(
        "projections.guard",
        (
            (
                "def _comes_next(\n",
                "def _comes_next(*_: object) -> bool:\n    return True\n\n\ndef _x(\n",
            ),
        ),
    ),
    # Of the trail, which every event adds a row to: others may look the same without one.
    "position-before-rows": Mutant(
        "projections.projector",
        (
            (
                "            self._change(transaction, sifted.records)\n            moved =",
                (
                    "            if self._model.name != 'audit':\n"
                    "                self._change(transaction, sifted.records)\n"
                    "            moved ="
                ),
            ),
            (
                "                transaction.move(moved)\n",
                (
                    "                transaction.move(moved)\n"
                    "        if moved and self._model.name == 'audit':\n"
                    "            with self._generation.transaction(partitions) as transaction:\n"
                    "                self._append(self._model, transaction, sifted.records)\n"
                ),
            ),
        ),
    ),
}
"""By name."""
