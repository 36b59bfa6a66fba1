"""The two databases that trees may lie in: a SQLite file, or the event store's PostgreSQL."""

import os
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg

from device_ledger.postgres import conninfo
from device_ledger.schemas import IN_POSTGRESQL, IN_SQLITE, Ask, Schema, asker

Connection = Any
"""A DB-API connection in autocommit, with ``execute`` (both drivers have it)."""

Result = TypeVar("Result")

_PREPARE_LOCK: Final = 0x7472656573


class TreeStoreError(Exception):
    """The store of the trees can't be used; one line for the operator."""


class Database(ABC):
    """One connection, for one thread at a time; opened anew after each failure."""

    mark: str
    """The driver's placeholder for a value."""
    begin: str
    """Begins a transaction that writes."""
    bytes_type: str
    """The database's type of bytes."""
    errors: tuple[type[Exception], ...]
    """What the driver raises."""
    is_there: str
    """Asks whether a table is there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @abstractmethod
    def _connect(self) -> Connection:
        """A new connection, usable by any thread."""

    @abstractmethod
    def prepare(self, schema: Schema, statements: tuple[str, ...]) -> None:
        """Make the tables that these statements say, where they are missing.

        Raises:
            SchemaError: they are of another version than the schema's.
            TreeStoreError: they can't be made.
        """

    def ask(self, db: Connection) -> Ask:
        """What a schema asks a database by."""
        return asker(lambda statement, values: self.execute(db, statement, *values))

    def _make(self, db: Connection, schema: Schema, statements: tuple[str, ...]) -> None:
        ask = self.ask(db)
        is_made = schema.expect(ask, self.is_there)
        for statement in statements:
            db.execute(statement)
        if not is_made:
            schema.note(ask)

    def execute(self, db: Connection, statement: str, *values: object) -> Any:
        """Run one statement, whose values are marked ``?``."""
        return db.execute(statement.replace("?", self.mark), values)

    def one(self, query: str, *values: object) -> Any:
        """The first row, or ``None``."""
        return self.run(lambda db: self.execute(db, query, *values).fetchone())

    def all(self, query: str, *values: object) -> list[Any]:
        """All rows."""
        return self.run(lambda db: list(self.execute(db, query, *values).fetchall()))

    def transact(self, work: Callable[[Connection], Result]) -> Result:
        """Do all of it, durable on return, or nothing.

        Raises:
            TreeStoreError: the database failed; whether it has committed is not known.
        """

        def run(db: Connection) -> Result:
            with self._transaction(db):
                return work(db)

        return self.run(run)

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """Do something with the connection.

        Raises:
            TreeStoreError: the database failed.
        """
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                return work(self._connection)
            except self.errors as error:
                self._drop()
                raise TreeStoreError(
                    f"the store of the logs' trees failed: {type(error).__name__}"
                ) from error

    def close(self) -> None:
        """Close the connection; another operation opens one again."""
        with self._lock:
            self._drop()

    @contextmanager
    def _transaction(self, db: Connection) -> Iterator[None]:
        db.execute(self.begin)
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            with suppress(*self.errors):
                db.execute("ROLLBACK")
            raise

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(*self.errors):
                self._connection.close()
        self._connection = None


class SqliteDatabase(Database):
    """A file of mode 0600: WAL, synchronous FULL."""

    mark = "?"
    begin = "BEGIN IMMEDIATE"
    bytes_type = "BLOB"
    errors = (sqlite3.Error,)
    is_there = IN_SQLITE

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def prepare(self, schema: Schema, statements: tuple[str, ...]) -> None:
        """See :meth:`Database.prepare`."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise TreeStoreError(f"cannot write {self._path}: {error.strerror}") from None
        self.run(lambda db: db.execute("PRAGMA journal_mode = WAL"))
        self.transact(lambda db: self._make(db, schema, statements))

    def _connect(self) -> Connection:
        connection = sqlite3.connect(
            f"file:{self._path.resolve()}?mode=rw",
            uri=True,
            timeout=10,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA synchronous = FULL")
        return connection


class PostgresDatabase(Database):
    """The event store's database."""

    mark = "%s"
    begin = "BEGIN"
    bytes_type = "BYTEA"
    errors = (psycopg.Error,)
    is_there = IN_POSTGRESQL

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def prepare(self, schema: Schema, statements: tuple[str, ...]) -> None:
        """See :meth:`Database.prepare`. Two that make a table at once fail without the lock."""

        def make(db: Connection) -> None:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_PREPARE_LOCK,))
            self._make(db, schema, statements)

        self.transact(make)

    def _connect(self) -> Connection:
        return psycopg.connect(conninfo(self._url), autocommit=True)
