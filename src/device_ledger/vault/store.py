"""The operations on stored data keys, the same for every store.

A row is a customer's current key. Erased, it keeps the generation that the next key will have.
``installation`` says by which master key the rows are wrapped and which token key the ledger's
tokens were made with. Each operation may be repeated; a connection belongs to one thread.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from typing import Any, Final, TypeVar

Customer = tuple[str, str]
"""A bank's ID and a user's ID."""

Connection = Any
"""A DB-API connection in autocommit, with ``execute`` (both drivers have it)."""

Result = TypeVar("Result")

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS data_keys (
        bank_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        generation BIGINT NOT NULL,
        master_key_id TEXT,
        wrapped TEXT,
        PRIMARY KEY (bank_id, user_id))""",
    "CREATE TABLE IF NOT EXISTS installation (name TEXT PRIMARY KEY, key_id TEXT NOT NULL)",
)
COLUMNS: Final = "bank_id, user_id, generation, master_key_id, wrapped"
_READ_MAX = 1000


class VaultStoreError(Exception):
    """The vault's store can't be used; the message is one line without a value or a key."""


class MasterKeyChangedError(VaultStoreError):
    """The rows are wrapped by another master key than the writer's."""


@dataclass(frozen=True, slots=True)
class Row:
    """A customer's key as stored: ``wrapped`` is None once it is erased."""

    bank_id: str
    user_id: str
    generation: int
    master_key_id: str | None
    wrapped: str | None

    @property
    def customer(self) -> Customer:
        """Whose key this is."""
        return (self.bank_id, self.user_id)

    @property
    def newest_made(self) -> int:
        """The newest generation that a key was made of, 0 for none."""
        return self.generation if self.wrapped is not None else self.generation - 1


class Store(ABC):
    """The operations of every store; a subclass says how its database is spoken to."""

    mark: str
    """The driver's placeholder for a value."""
    begin: str
    """Begins a transaction that writes."""
    share: str
    """Ends a query whose row must not change before the transaction's end."""
    errors: tuple[type[Exception], ...]
    """What the driver raises."""
    is_local: bool
    """Whether a read takes tens of microseconds and waits for nobody."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._opened: list[Connection] = []
        self._lock = threading.Lock()

    @abstractmethod
    def _connect(self) -> Connection:
        """A new connection of this thread."""

    @abstractmethod
    def _select(self, connection: Connection, customers: Sequence[Customer]) -> list[Any]:
        """The rows of these customers, in one query."""

    def create_tables(self) -> None:
        """Make the tables where they are missing."""
        self._transact(lambda db: [db.execute(statement) for statement in SCHEMA])

    def read(self, customers: Sequence[Customer]) -> list[Row]:
        """The rows that there are of these customers."""
        rows: list[Row] = []
        for first in range(0, len(customers), _READ_MAX):
            asked = customers[first : first + _READ_MAX]
            rows += self._run(lambda db: [Row(*row) for row in self._select(db, asked)])  # noqa: B023
        return rows

    def insert(self, rows: Sequence[Row], master_key_id: str) -> None:
        """Store keys, durable on return, where the customer has none of its generation yet.

        Raises:
            MasterKeyChangedError: the master key was rotated since.
        """
        statement = self._sql(
            f"INSERT INTO data_keys ({COLUMNS}) VALUES"
            f" {', '.join(['(?, ?, ?, ?, ?)'] * len(rows))}"
            " ON CONFLICT (bank_id, user_id) DO UPDATE"
            " SET master_key_id = excluded.master_key_id, wrapped = excluded.wrapped"
            " WHERE data_keys.wrapped IS NULL AND data_keys.generation = excluded.generation"
        )
        # In one order everywhere, so that two writers can't wait for each other's rows.
        in_order = sorted(rows, key=lambda row: row.customer)
        values = [value for row in in_order for value in astuple(row)]

        def write(db: Connection) -> None:
            self._expect_master_key(db, master_key_id)
            db.execute(statement, values)

        self._transact(write)

    def erase(self, customer: Customer, generation: int) -> None:
        """Delete a customer's key up to a generation; the next one will have the next."""
        statement = self._sql(
            f"INSERT INTO data_keys ({COLUMNS}) VALUES (?, ?, ?, NULL, NULL)"
            " ON CONFLICT (bank_id, user_id) DO UPDATE"
            " SET generation = excluded.generation, master_key_id = NULL, wrapped = NULL"
            " WHERE data_keys.generation < excluded.generation"
        )
        self._transact(lambda db: db.execute(statement, (*customer, generation + 1)))

    def claim_key_id(self, name: str, key_id: str) -> str:
        """The ID kept under a name: this one where there was none."""
        insert = self._sql("INSERT INTO installation VALUES (?, ?) ON CONFLICT DO NOTHING")
        kept = self._run(lambda db: self._key_id(db, name))
        if not kept:
            self._transact(lambda db: db.execute(insert, (name, key_id)))
            kept = self._run(lambda db: self._key_id(db, name))
        return kept

    def replace_key_id(self, name: str, key_id: str) -> None:
        """Keep another ID under a name."""
        statement = self._sql("UPDATE installation SET key_id = ? WHERE name = ?")
        self._transact(lambda db: db.execute(statement, (key_id, name)))

    def page(self, after: Customer, limit: int) -> list[Row]:
        """The rows that follow a customer's, in order."""
        query = self._sql(
            f"SELECT {COLUMNS} FROM data_keys WHERE (bank_id, user_id) > (?, ?)"
            " ORDER BY bank_id, user_id LIMIT ?"
        )
        return self._run(lambda db: [Row(*row) for row in db.execute(query, (*after, limit))])

    def rewrap(self, rows: Sequence[Row]) -> None:
        """Put newly wrapped keys in the place of the same keys wrapped before."""
        statement = self._sql(
            "UPDATE data_keys SET master_key_id = ?, wrapped = ?"
            " WHERE bank_id = ? AND user_id = ? AND generation = ? AND wrapped IS NOT NULL"
        )

        def write(db: Connection) -> None:
            for row in rows:
                values = (row.master_key_id, row.wrapped, *row.customer, row.generation)
                db.execute(statement, values)

        self._transact(write)

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            while self._opened:
                self._opened.pop().close()
        self._local = threading.local()

    def _sql(self, statement: str) -> str:
        return statement.replace("?", self.mark)

    def _key_id(self, db: Connection, name: str, lock: str = "") -> str:
        query = self._sql(f"SELECT key_id FROM installation WHERE name = ?{lock}")
        row = db.execute(query, (name,)).fetchone()
        return "" if row is None else str(row[0])

    def _expect_master_key(self, db: Connection, key_id: str) -> None:
        if self._key_id(db, "master", self.share) != key_id:
            raise MasterKeyChangedError("the vault's master key was rotated: start again with it")

    def _transact(self, work: Callable[[Connection], Result]) -> Result:
        def run(db: Connection) -> Result:
            db.execute(self.begin)
            try:
                result = work(db)
                db.execute("COMMIT")
            except BaseException:
                with suppress(*self.errors):
                    db.execute("ROLLBACK")
                raise
            return result

        return self._run(run)

    def _run(self, work: Callable[[Connection], Result]) -> Result:
        """Do what may be repeated, a second time where the connection was lost."""
        try:
            try:
                return work(self._connection())
            except self.errors:
                if not getattr(self._connection(), "broken", False):
                    raise
                self._drop()
                return work(self._connection())
        except self.errors as error:
            raise VaultStoreError(f"the vault's store failed: {type(error).__name__}") from None

    def _connection(self) -> Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            with self._lock:
                self._opened.append(connection)
        return connection

    def _drop(self) -> None:
        connection = self._local.connection
        self._local.connection = None
        with self._lock:
            self._opened.remove(connection)
        connection.close()
