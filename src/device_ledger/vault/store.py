"""The operations on stored data keys, the same for every store.

A row is a customer's current key. Erased, it keeps the generation that the next key will have.
``installation`` says by which master key the rows are wrapped and which token key the ledger's
tokens were made with. Each operation may be repeated; a connection belongs to one thread.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import astuple
from typing import Any, Final, TypeVar

from device_ledger.schemas import VAULT, Ask, SchemaError, asker
from device_ledger.vault.connections import Connection, Connections
from device_ledger.vault.tables import COLUMNS, FIRST, GENERATIONS_LEFT_OUT, SCHEMA, Customer, Row

Result = TypeVar("Result")

_READ_MAX = 1000

MASTER: Final = "master"
"""Under this name ``installation`` has the ID of the master key that wraps new data keys."""
BEFORE: Final = "master-before"
"""Under this one, while data keys are wrapped anew, the ID of the one that wrapped them before."""


class VaultStoreError(Exception):
    """The vault's store can't be used; the message is one line without a value or a key."""


class MasterKeyChangedError(VaultStoreError):
    """New data keys are wrapped by another master key by now than the writer's."""


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
    is_there: str
    """Asks whether a table is there."""
    is_local: bool
    """Whether a read takes tens of microseconds and waits for nobody."""

    def __init__(self) -> None:
        self.connections = Connections(self._connect)

    @abstractmethod
    def _connect(self) -> Connection:
        """A new connection of this thread."""

    @abstractmethod
    def _select(self, connection: Connection, customers: Sequence[Customer]) -> list[Any]:
        """The rows of these customers, in one query."""

    def create_tables(self) -> None:
        """Make the tables where they are missing.

        Raises:
            VaultStoreError: they are of another version, or can't be made.
        """
        if not self.expect_schema():
            self._transact(self._create)

    def expect_schema(self) -> bool:
        """Whether the tables were made already; then they are of this version's schema.

        Raises:
            VaultStoreError: they are not.
        """
        try:
            return self._run(lambda db: VAULT.expect(self._ask(db), self.is_there))
        except SchemaError as error:
            raise VaultStoreError(str(error)) from error

    def _create(self, db: Connection) -> None:
        for statement in SCHEMA:
            db.execute(statement)
        VAULT.note(self._ask(db))

    def _ask(self, db: Connection) -> Ask:
        return asker(lambda statement, values: db.execute(self._sql(statement), values))

    def read(self, customers: Sequence[Customer]) -> list[Row]:
        """The rows that there are of these customers."""
        rows: list[Row] = []
        for first in range(0, len(customers), _READ_MAX):
            asked = customers[first : first + _READ_MAX]
            rows += self._run(lambda db: [Row(*row) for row in self._select(db, asked)])  # noqa: B023
        return rows

    def insert(self, rows: Sequence[Row], master_key_id: str) -> None:
        """Store keys, durable on return, where the customer has none, nor had a later one.

        Raises:
            MasterKeyChangedError: the master key was rotated since.
        """
        statement = self._sql(
            f"INSERT INTO data_keys ({COLUMNS}) VALUES"
            f" {', '.join(['(?, ?, ?, ?, ?)'] * len(rows))}"
            " ON CONFLICT (bank_id, user_id) DO UPDATE"
            " SET generation = excluded.generation,"
            " master_key_id = excluded.master_key_id, wrapped = excluded.wrapped"
            " WHERE data_keys.wrapped IS NULL AND data_keys.generation <= excluded.generation"
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

    def key_id(self, name: str) -> str:
        """The ID kept under a name; empty where there is none."""
        return self._run(lambda db: self._key_id(db, name))

    def first_generation(self) -> int:
        """The generation that a new key has at least."""
        return int(self.key_id(FIRST) or 1)

    def raise_first_generation(self) -> None:
        """From now on new keys have generations that none has had since this was copied."""
        upsert = self._sql(
            "INSERT INTO installation VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET key_id = excluded.key_id"
        )

        def write(db: Connection) -> None:
            [newest] = db.execute("SELECT coalesce(max(generation), 0) FROM data_keys").fetchone()
            first = max(int(self._key_id(db, FIRST) or 1), newest) + GENERATIONS_LEFT_OUT
            db.execute(upsert, (FIRST, str(first)))

        self._transact(write)

    def begin_rotation(self, old: str, new: str) -> None:
        """From now on new data keys are wrapped by another master key. Again is the same.

        Raises:
            MasterKeyChangedError: the old one isn't the one that wraps them.
        """
        insert = self._sql("INSERT INTO installation VALUES (?, ?)")
        update = self._sql("UPDATE installation SET key_id = ? WHERE name = ? AND key_id = ?")

        def switch(db: Connection) -> None:
            if self._key_id(db, BEFORE) == old and self._key_id(db, MASTER) == new:
                return
            if db.execute(update, (new, MASTER, old)).rowcount != 1:
                raise MasterKeyChangedError("the vault's master key was rotated meanwhile")
            db.execute(insert, (BEFORE, old))

        self._transact(switch)

    def end_rotation(self, old: str) -> bool:
        """Forget the master key before, where no data key is wrapped by it; whether that is so."""
        left = self._sql("SELECT 1 FROM data_keys WHERE master_key_id = ? LIMIT 1")
        forget = self._sql("DELETE FROM installation WHERE name = ?")

        def end(db: Connection) -> bool:
            if db.execute(left, (old,)).fetchone() is not None:
                return False
            db.execute(forget, (BEFORE,))
            return True

        return self._transact(end)

    def wrapped_by(self) -> dict[str, int]:
        """How many data keys each master key wraps, by its ID. Looks at all of them."""
        query = (
            "SELECT master_key_id, count(*) FROM data_keys WHERE wrapped IS NOT NULL"
            " GROUP BY master_key_id"
        )
        return self._run(lambda db: {str(key_id): int(n) for key_id, n in db.execute(query)})

    @abstractmethod
    def scrub(self) -> None:
        """Let nothing of what was deleted or replaced lie beside the tables, where that is ours.

        Raises:
            VaultStoreError: it lies there still.
        """

    def page(self, after: Customer, limit: int) -> list[Row]:
        """The rows that follow a customer's, in order."""
        query = self._sql(
            f"SELECT {COLUMNS} FROM data_keys WHERE (bank_id, user_id) > (?, ?)"
            " ORDER BY bank_id, user_id LIMIT ?"
        )
        return self._run(lambda db: [Row(*row) for row in db.execute(query, (*after, limit))])

    def rewrap(self, rows: Sequence[Row], old: str) -> None:
        """Put newly wrapped keys in the place of the same keys as another master key wrapped them.

        One that was erased meanwhile, or was wrapped anew, stays as it is.
        """
        statement = self._sql(
            "UPDATE data_keys SET master_key_id = ?, wrapped = ?"
            " WHERE bank_id = ? AND user_id = ? AND generation = ? AND master_key_id = ?"
        )

        def write(db: Connection) -> None:
            for row in rows:
                values = (row.master_key_id, row.wrapped, *row.customer, row.generation, old)
                db.execute(statement, values)

        self._transact(write)

    def close(self) -> None:
        """Close the connections of all threads, after what they are being used for."""
        self.connections.close()

    def _sql(self, statement: str) -> str:
        return statement.replace("?", self.mark)

    def _key_id(self, db: Connection, name: str, lock: str = "") -> str:
        query = self._sql(f"SELECT key_id FROM installation WHERE name = ?{lock}")
        row = db.execute(query, (name,)).fetchone()
        return "" if row is None else str(row[0])

    def _expect_master_key(self, db: Connection, key_id: str) -> None:
        if self._key_id(db, MASTER, self.share) != key_id:
            raise MasterKeyChangedError("the vault's master key was rotated meanwhile")

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
            with self.connections.in_use():
                try:
                    return work(self.connections.get())
                except self.errors:
                    if not getattr(self.connections.get(), "broken", False):
                        raise
                    self.connections.drop()
                    return work(self.connections.get())
        except self.errors as error:
            raise VaultStoreError(f"the vault's store failed: {type(error).__name__}") from None
