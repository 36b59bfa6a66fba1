"""Wrapping all data keys by a new master key, while the vault is used.

First the vault says that new data keys are wrapped by the new one, and which one wrapped those
before; then they are wrapped anew, a thousand at a time; then the vault forgets the old one. Ended
at any line, another run goes on. Whoever uses the vault meanwhile has both master keys.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from device_ledger.keyfile import KeyLoadingError
from device_ledger.vault.keys import MasterKey, MasterKeys
from device_ledger.vault.store import BEFORE, MASTER, Store
from device_ledger.vault.tables import Row
from device_ledger.vault.wrapping import known, unwrapped

ROWS_MAX: Final = 1_000

Report = Callable[[int], None]
"""Told of how many more customers the rotation is through."""


class NothingToRotateError(Exception):
    """The vault is wrapped by the newest key already; the message says so."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was done: how many data keys were wrapped anew, from which master key to which."""

    count: int
    old: str
    new: str


def rotate(store: Store, masters: MasterKeys, report: Report = lambda _: None) -> Rotated:
    """Wrap all data keys by the newest master key; go on where another run has ended.

    Raises:
        NothingToRotateError: that is so already.
        KeyLoadingError: one of the two master keys isn't given.
        VaultStoreError: the store can't be used, or a data key can't be opened.
    """
    old, new = _from_and_to(store, masters)
    store.begin_rotation(old, new.id)
    count = 0
    while True:
        count += _rewrap_all(store, masters, old, new, report)
        if store.end_rotation(old):
            break
    store.scrub()
    return Rotated(count, old, new.id)


def _from_and_to(store: Store, masters: MasterKeys) -> tuple[str, MasterKey]:
    wrapping, before = store.key_id(MASTER), store.key_id(BEFORE)
    if not wrapping:
        raise NothingToRotateError("there is no vault yet: the API makes it")
    if before:
        known(masters, before)
        return before, known(masters, wrapping)
    if wrapping == masters.newest.id:
        # A run that ended at its last line has left this to do.
        store.scrub()
        raise NothingToRotateError(f"the vault is wrapped by master key {wrapping}, the newest one")
    if masters.find(wrapping) is None:
        raise KeyLoadingError(
            f"the vault is wrapped by master key {wrapping}: give it, and after it the new one"
        )
    return wrapping, masters.newest


def _rewrap_all(store: Store, masters: MasterKeys, old: str, new: MasterKey, report: Report) -> int:
    count, after = 0, ("", "")
    while rows := store.page(after, ROWS_MAX):
        due = [row for row in rows if row.master_key_id == old]
        if due:
            store.rewrap([_rewrapped(masters, row, new) for row in due], old)
        count, after = count + len(due), rows[-1].customer
        report(len(rows))
    return count


def _rewrapped(masters: MasterKeys, row: Row, new: MasterKey) -> Row:
    wrapped = new.wrap(unwrapped(masters, row), *row.customer, row.generation)
    return Row(*row.customer, row.generation, new.id, wrapped)
