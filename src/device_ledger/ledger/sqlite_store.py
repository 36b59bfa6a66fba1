"""The event store on SQLite: WAL, ``synchronous=FULL``, for one API process."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import Notification, OperationalError, StoredEvent
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteFactory,
)

from device_ledger.ledger.receipts import StoredReceipt
from device_ledger.ledger.stores import (
    PURGE_MAX,
    SNAPSHOT_TOPICS,
    ConflictError,
    Identity,
    Stream,
    Unit,
    new_heads,
    schema,
)

_SNAPSHOTS = (
    "SELECT s.* FROM json_each(?) AS w CROSS JOIN stored_snapshots AS s"
    " ON s.originator_id = w.value AND s.originator_version ="
    " (SELECT max(originator_version) FROM stored_snapshots WHERE originator_id = w.value"
    f" AND topic IN ({SNAPSHOT_TOPICS}))"
)
_EVENTS = (
    "SELECT e.originator_id, e.originator_version, e.topic, e.state"
    " FROM json_each(?) AS w CROSS JOIN stored_events AS e"
    " ON e.originator_id = w.value ->> 0 AND e.originator_version > w.value ->> 1"
    " ORDER BY e.originator_id, e.originator_version"
)
_VERSIONS = (
    "SELECT w.value AS originator_id, (SELECT max(originator_version) FROM stored_events"
    " WHERE originator_id = w.value) AS version FROM json_each(?) AS w"
)
_KEEP_RECEIPT = (
    "INSERT INTO receipts VALUES (?, ?, ?, ?) ON CONFLICT (receipt_id) DO UPDATE SET"
    " body_hash = excluded.body_hash, answer = excluded.answer, expires_at = excluded.expires_at"
    " WHERE receipts.expires_at <= ?"
)
_ERASURES = "SELECT rowid AS id, * FROM stored_events WHERE topic = 'erasure.ordered.v1'"
_PURGE = (
    "DELETE FROM receipts WHERE receipt_id IN"
    f" (SELECT receipt_id FROM receipts WHERE expires_at <= ? LIMIT {PURGE_MAX})"
)


class DurableConnection(SQLiteConnection):
    """The library's connection; a transaction that will write takes the write lock first.

    Taken later, by a deferred ``BEGIN``, the lock is refused at once where another process has
    written since the transaction's first read: no lock timeout helps then.
    """

    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        """See the library's; ``commit`` tells that it writes."""
        with super().transaction(commit=commit) as cursor:
            if commit:
                cursor.execute("COMMIT")
                cursor.execute("BEGIN IMMEDIATE")
            yield cursor


class DurableConnectionPool(SQLiteConnectionPool):
    """The library's pool, with every commit on the disk before it returns."""

    def _create_connection(self) -> SQLiteConnection:
        plain = super()._create_connection()
        plain.cursor().execute("PRAGMA synchronous=FULL")
        return DurableConnection(plain._sqlite_conn, self.max_age)  # noqa: SLF001


class DurableFactory(SQLiteFactory):
    """The library's factory, with that pool."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        pool = self.datastore.pool
        self.datastore.pool = DurableConnectionPool(
            db_name=pool.db_name, lock_timeout=pool.lock_timeout
        )


class SQLiteLedgerRecorder(SQLiteApplicationRecorder):
    """See :class:`device_ledger.ledger.stores.LedgerRecorder`."""

    def prepare(self, partitions: int) -> Identity:
        """Make the ledger's tables and its identity, or read them."""
        with self.datastore.transaction(commit=True) as c:
            for statement in schema("sqlite"):
                c.execute(statement)
            c.execute(
                "INSERT INTO ledger_identity SELECT ?, 1, ?"
                " WHERE NOT EXISTS (SELECT 1 FROM ledger_identity)",
                (str(uuid4()), partitions),
            )
            c.execute("SELECT ledger_id, epoch, partitions FROM ledger_identity")
            return Identity(*c.fetchone())

    def load(self, originators: Collection[UUID]) -> dict[UUID, Stream]:
        """Snapshots first, then the events after them."""
        streams: dict[UUID, Stream] = {}
        keys = [originator.hex for originator in originators]
        with self.datastore.transaction(commit=False) as c:
            c.execute(_SNAPSHOTS, (json.dumps(keys),))
            after = dict.fromkeys(keys, 0)
            for row in c.fetchall():
                streams[UUID(row["originator_id"])] = Stream(_stored(row))
                after[row["originator_id"]] = row["originator_version"]
            c.execute(_EVENTS, (json.dumps(list(after.items())),))
            for row in c.fetchall():
                stream = streams.setdefault(UUID(row["originator_id"]), Stream())
                stream.events.append(_stored(row))
        return streams

    def receipts(self, receipt_ids: Collection[str], now: str) -> dict[str, StoredReceipt]:
        """One query for all."""
        with self.datastore.transaction(commit=False) as c:
            c.execute(
                "SELECT r.* FROM json_each(?) AS w CROSS JOIN receipts AS r"
                " ON r.receipt_id = w.value WHERE r.expires_at > ?",
                (json.dumps(list(receipt_ids)), now),
            )
            return {row["receipt_id"]: StoredReceipt(*row) for row in c.fetchall()}

    def append(self, unit: Unit) -> dict[int, int]:
        """One transaction: check what was read, then write."""
        writes = bool(unit.events or unit.receipts)
        try:
            with self.datastore.transaction(commit=writes) as c:
                self._check(c, unit)
                if writes:
                    self._write(c, unit)
                return self._heads(c)
        except sqlite3.OperationalError as error:
            raise OperationalError(str(error)) from error

    def _check(self, c: SQLiteCursor, unit: Unit) -> None:
        c.execute(_VERSIONS, (json.dumps([originator.hex for originator in unit.read]),))
        now = {UUID(row["originator_id"]): row["version"] or 0 for row in c.fetchall()}
        if now != unit.read:
            raise ConflictError

    def _write(self, c: SQLiteCursor, unit: Unit) -> None:
        ids = self._insert_events(c, unit.events) or ()
        moved = new_heads(ids, unit.partitions)
        c.executemany("INSERT OR REPLACE INTO partition_heads VALUES (?, ?)", list(moved.items()))
        for kept in unit.receipts:
            row = (kept.receipt_id, kept.body_hash, kept.answer, kept.expires_at, unit.now)
            c.execute(f"{_KEEP_RECEIPT} RETURNING 1", row)
            if c.fetchone() is None:
                raise ConflictError

    def erasures(self, after: int, limit: int) -> list[Notification]:
        """By an index of their own."""
        with self.datastore.transaction(commit=False) as c:
            c.execute(f"{_ERASURES} AND rowid > ? ORDER BY rowid LIMIT ?", (after, limit))
            return [_notification(row) for row in c.fetchall()]

    def erasures_of(self, originator: UUID) -> list[Notification]:
        """Of all that is stored of the customer."""
        query = f"{_ERASURES} AND originator_id = ? ORDER BY originator_version"
        with self.datastore.transaction(commit=False) as c:
            c.execute(query, (originator.hex,))
            return [_notification(row) for row in c.fetchall()]

    def heads(self) -> dict[int, int]:
        """Read the heads that each append keeps."""
        with self.datastore.transaction(commit=False) as c:
            return self._heads(c)

    def _heads(self, c: SQLiteCursor) -> dict[int, int]:
        c.execute("SELECT partition, last_id FROM partition_heads")
        return {row["partition"]: row["last_id"] for row in c.fetchall()}

    def add_snapshots(self, snapshots: Sequence[StoredEvent]) -> None:
        """Insert those that aren't there."""
        rows = [
            (UUID(str(one.originator_id)).hex, one.originator_version, one.topic, one.state)
            for one in snapshots
        ]
        with self.datastore.transaction(commit=True) as c:
            c.executemany("INSERT OR IGNORE INTO stored_snapshots VALUES (?, ?, ?, ?)", rows)

    def purge_receipts(self, now: str) -> int:
        """In one small transaction."""
        with self.datastore.transaction(commit=True) as c:
            c.execute(f"{_PURGE} RETURNING 1", (now,))
            return len(c.fetchall())


def _stored(row: sqlite3.Row) -> StoredEvent:
    return StoredEvent(
        UUID(row["originator_id"]), row["originator_version"], row["topic"], row["state"]
    )


def _notification(row: sqlite3.Row) -> Notification:
    return Notification(
        UUID(row["originator_id"]), row["originator_version"], row["topic"], row["state"], row["id"]
    )
