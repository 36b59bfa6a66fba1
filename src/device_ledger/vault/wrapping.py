"""Data keys as they are stored: wrapped by a master key that the vault knows by its ID."""

import os

from device_ledger.keyfile import KeyLoadingError
from device_ledger.vault.keys import Keys, MasterKey, MasterKeys
from device_ledger.vault.store import BEFORE, MASTER, Store, VaultStoreError
from device_ledger.vault.tables import Customer, Row
from device_ledger.vault.tokens import KEY_BYTES


class WrongMasterKeyError(VaultStoreError):
    """A data key was wrapped by another master key than this process has."""


def new_row(master: MasterKey, customer: Customer, generation: int) -> Row:
    """A new data key of a customer, wrapped."""
    wrapped = master.wrap(os.urandom(KEY_BYTES), *customer, generation)
    return Row(*customer, generation, master.id, wrapped)


def check_keys(store: Store, keys: Keys) -> None:
    """Refuse other keys than those of the vault; a new one is made with these.

    Raises:
        KeyLoadingError: one is another key.
    """
    store.claim_key_id(MASTER, keys.masters.newest.id)
    store.claim_key_id("token", keys.token.id)
    expect_keys(store, keys)


def expect_keys(store: Store, keys: Keys) -> None:
    """Refuse other keys than those of the vault.

    Raises:
        KeyLoadingError: one is another key, or a second master key is missing.
    """
    kept, own = store.key_id("token"), keys.token.id
    if kept != own:
        raise KeyLoadingError(f"the vault was made with token key {kept}, this is {own}")
    for needed in (store.key_id(MASTER), store.key_id(BEFORE)):
        if needed and keys.masters.find(needed) is None:
            given = " and ".join(keys.masters.ids)
            raise KeyLoadingError(f"the vault needs master key {needed}, this is {given}")


def known(masters: MasterKeys, key_id: str | None) -> MasterKey:
    """The master key of an ID.

    Raises:
        WrongMasterKeyError: this process doesn't have it.
    """
    master = masters.find(key_id)
    if master is None:
        given = " and ".join(masters.ids)
        raise WrongMasterKeyError(f"data keys are wrapped by master key {key_id}, this is {given}")
    return master


def unwrapped(masters: MasterKeys, row: Row) -> bytes:
    """The data key of a row that has one.

    Raises:
        WrongMasterKeyError: another master key wrapped it, or it was changed.
    """
    master = known(masters, row.master_key_id)
    try:
        return master.unwrap(row.wrapped or "", *row.customer, row.generation)
    except ValueError:
        raise WrongMasterKeyError("a data key was changed or moved in the vault") from None
