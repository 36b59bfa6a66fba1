"""Where wrapped data keys lie: one SQLite file, or a PostgreSQL database of their own."""

import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from device_ledger.backup.plan import HALF_RESTORED, is_half_restored
from device_ledger.postgres import conninfo
from device_ledger.schemas import IN_POSTGRESQL, IN_SQLITE
from device_ledger.settings import Settings
from device_ledger.vault.connections import Connection
from device_ledger.vault.store import Store, VaultStoreError
from device_ledger.vault.tables import COLUMNS, Customer

WAL_SECONDS: Final = 10.0
"""How long others may keep a file's write-ahead log from being turned on, or from being emptied."""


class SqliteStore(Store):
    """A file of mode 0600: WAL, synchronous FULL, and what is deleted is overwritten."""

    mark = "?"
    begin = "BEGIN IMMEDIATE"
    share = ""
    errors = (sqlite3.Error,)
    is_there = IN_SQLITE
    is_local = True

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def create_tables(self) -> None:
        """Make the file and the tables where they are missing."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise VaultStoreError(f"cannot write {self._path}: {error.strerror}") from None
        super().create_tables()

    def erase(self, customer: Customer, generation: int) -> None:
        """As of every store; the old key is gone from the log beside the file, too."""
        super().erase(customer, generation)
        self.scrub()

    def scrub(self) -> None:
        """Empty the log beside the file: it has pages as they were before."""
        deadline = time.monotonic() + WAL_SECONDS
        # SQLite waits for who reads or writes, and refuses one of two that empty it at once.
        while self._run(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())[0]:
            if time.monotonic() > deadline:
                raise VaultStoreError("the vault is read without a pause: try again")
            time.sleep(0.01)

    def _connect(self) -> Connection:
        connection = sqlite3.connect(
            f"file:{self._path.resolve()}?mode=rw",
            uri=True,
            timeout=10,
            isolation_level=None,
            check_same_thread=False,
        )
        _use_wal(connection)
        for pragma in ("synchronous = FULL", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _select(self, connection: Connection, customers: Sequence[Customer]) -> list[Any]:
        marks = ", ".join(["(?, ?)"] * len(customers))
        # Not `(bank_id, user_id) IN (VALUES …)`: SQLite scans the table for that.
        query = (
            f"WITH asked (bank, user) AS (VALUES {marks})"
            f" SELECT {COLUMNS} FROM asked"
            " CROSS JOIN data_keys ON bank_id = bank AND user_id = user"
        )
        values = [value for customer in customers for value in customer]
        return list(connection.execute(query, values))


class PostgresStore(Store):
    """A database of its own, so that a backup of the events holds no keys."""

    mark = "%s"
    begin = "BEGIN"
    share = " FOR SHARE"
    errors = (psycopg.Error,)
    is_there = IN_POSTGRESQL
    is_local = False

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def _create(self, db: Connection) -> None:
        db.execute("SELECT pg_advisory_xact_lock(hashtext('device-ledger/vault'))")
        super()._create(db)

    def scrub(self) -> None:
        """Nothing: dead rows and the write-ahead log are the database's own."""

    def _connect(self) -> Connection:
        return psycopg.connect(conninfo(self._url), autocommit=True)

    def _select(self, connection: Connection, customers: Sequence[Customer]) -> list[Any]:
        query = (
            "SELECT k.bank_id, k.user_id, k.generation, k.master_key_id, k.wrapped"
            " FROM unnest(%s::text[], %s::text[]) AS asked (bank_id, user_id)"
            " JOIN data_keys k USING (bank_id, user_id)"
        )
        banks, users = zip(*customers, strict=True)
        return list(connection.execute(query, (list(banks), list(users))))


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn write-ahead logging on. Of two that do so at once SQLite refuses one without waiting."""
    deadline = time.monotonic() + WAL_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def open_store(settings: Settings) -> Store:
    """The store that the settings name, not yet connected.

    Raises:
        VaultStoreError: it is the database of the event store.
    """
    vault, events = (
        url.get_secret_value() for url in (settings.vault_url, settings.event_store_url)
    )
    if not vault and is_half_restored(settings.home):
        raise VaultStoreError(HALF_RESTORED)
    if not vault:
        return SqliteStore(settings.home / "vault" / "vault.db")
    if events and _database(vault) == _database(events):
        raise VaultStoreError(
            "DEVICE_LEDGER_VAULT_URL names the event store's database: give the vault its own"
        )
    return PostgresStore(vault)


def _database(url: str) -> tuple[object, ...]:
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise VaultStoreError("a PostgreSQL URL is not valid") from None
    return (parts.get("host"), parts.get("port", "5432"), parts.get("dbname"))
