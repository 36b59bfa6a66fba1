"""The vault for a process that only reads it: a role that may ``SELECT`` is enough."""

import sqlite3
from collections.abc import Callable
from typing import NoReturn

from device_ledger.settings import Settings
from device_ledger.vault.connections import Connection
from device_ledger.vault.keys import Keys
from device_ledger.vault.store import MASTER, Result, Store, VaultStoreError
from device_ledger.vault.stores import PostgresStore, SqliteStore
from device_ledger.vault.vault import Vault
from device_ledger.vault.wrapping import expect_keys


class _ReadOnly(Store):
    """A store whose one door for writes is shut."""

    def _transact(self, work: Callable[[Connection], Result]) -> NoReturn:  # noqa: ARG002
        raise VaultStoreError("this process only reads the vault")


class _SqliteReader(_ReadOnly, SqliteStore):
    """The file, opened for reading."""

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.resolve().as_uri()}?mode=ro",
            uri=True,
            timeout=10,
            isolation_level=None,
            check_same_thread=False,
        )


class _PostgresReader(_ReadOnly, PostgresStore):
    """The database, as a role that needs no more than ``SELECT`` on its tables."""


def open_to_read(settings: Settings, keys: Keys) -> Vault:
    """The vault that the settings name, for reading: it makes no table and no key.

    Raises:
        KeyLoadingError: these keys are not those that the vault was made with.
        VaultStoreError: its store can't be read, or was not made yet.
    """
    url = settings.vault_url.get_secret_value()
    path = settings.home / "vault" / "vault.db"
    store = _PostgresReader(url) if url else _SqliteReader(path)
    try:
        store.expect_schema()
        if not (store.key_id(MASTER) and store.key_id("token")):
            raise VaultStoreError("the vault was not made yet: the API makes it")
        expect_keys(store, keys)
    finally:
        # Of this thread, which may not be the one that reads.
        store.close()
    return Vault(store, keys.masters)
