"""The event store on SQLite: WAL, ``synchronous=FULL``, for one API process."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
from eventsourcing.persistence import Notification, OperationalError, StoredEvent
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteFactory,
)

from device_ledger.ledger.bell import bell_of, ring
from device_ledger.ledger.receipts import StoredReceipt
from device_ledger.ledger.stores import (
    HEADS,
    PURGE_MAX,
    SNAPSHOT_TOPICS,
    ConflictError,
    Identity,
    Stream,
    Unit,
    new_heads,
    read_heads,
    schema,
)
from device_ledger.schemas import EVENTS, IN_SQLITE

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
_MOVE_HEADS = "INSERT OR REPLACE INTO partition_heads VALUES (?, ?)"
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

    _epoch = 0

    def prepare(self, partitions: int) -> Identity:
        """Make the ledger's tables and its identity, or read them."""
        with self.datastore.transaction(commit=True) as c:

            def ask(statement: str, *values: Any) -> list[Any]:
                c.execute(statement, values)
                return list(c.fetchall())

            is_made = EVENTS.expect(ask, IN_SQLITE)
            for statement in schema("sqlite"):
                c.execute(statement)
            if not is_made:
                EVENTS.note(ask)
            c.execute(
                "INSERT INTO ledger_identity SELECT ?, 1, ?"
                " WHERE NOT EXISTS (SELECT 1 FROM ledger_identity)",
                (str(uuid4()), partitions),
            )
            c.execute("SELECT ledger_id, epoch, partitions FROM ledger_identity")
            identity = Identity(*c.fetchone())
        self._epoch = identity.epoch
        return identity

    def begin_epoch(self, epoch: int, first_id: int, unit: Unit) -> None:
        """In one transaction; whoever calls holds the locks of all who write."""
        insert = (
            "INSERT INTO stored_events"
            " (rowid, originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?, ?)"
        )
        ids = range(first_id, first_id + len(unit.events))
        with self.datastore.transaction(commit=True) as c:
            c.executemany(
                insert,
                [
                    (at, UUID(str(one.originator_id)).hex, place, one.topic, one.state)
                    for at, one in zip(ids, unit.events, strict=True)
                    for place in [one.originator_version]
                ],
            )
            moved = new_heads(ids, unit.partitions)
            c.executemany(_MOVE_HEADS, list(moved.items()))
            c.execute("UPDATE ledger_identity SET epoch = ?", (epoch,))
        self._epoch = epoch

    def load(self, originators: Collection[UUID]) -> dict[UUID, Stream]:
        """Snapshots first, then the events after them."""
        streams: dict[UUID, Stream] = {}
        keys = [originator.hex for originator in originators]
        with self.datastore.transaction(commit=False) as c:
            c.execute(_SNAPSHOTS, (_array(keys),))
            after = dict.fromkeys(keys, 0)
            for row in c.fetchall():
                streams[UUID(row["originator_id"])] = Stream(_stored(row))
                after[row["originator_id"]] = row["originator_version"]
            c.execute(_EVENTS, (_array(after.items()),))
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
                (_array(receipt_ids), now),
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
                heads = self._heads(c)
        except sqlite3.OperationalError as error:
            raise OperationalError(str(error)) from error
        if unit.events:
            ring(bell_of(Path(self.datastore.pool.db_name)))
        return heads

    def _check(self, c: SQLiteCursor, unit: Unit) -> None:
        read = {originator.hex: version for originator, version in unit.read.items()}
        c.execute(_VERSIONS, (_array(read),))
        now = {row["originator_id"]: row["version"] or 0 for row in c.fetchall()}
        if now != read:
            raise ConflictError

    def _write(self, c: SQLiteCursor, unit: Unit) -> None:
        ids = self._insert_events(c, unit.events) or ()
        moved = new_heads(ids, unit.partitions)
        c.executemany(_MOVE_HEADS, list(moved.items()))
        rows = [
            (kept.receipt_id, kept.body_hash, kept.answer, kept.expires_at, unit.now)
            for kept in unit.receipts
        ]
        c.executemany(_KEEP_RECEIPT, rows)
        if rows and c.sqlite_cursor.rowcount != len(rows):
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
        c.execute(HEADS)
        return read_heads(((row[0], row[1]) for row in c.fetchall()), self._epoch)

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


def _array(values: Iterable[Any]) -> str:
    return orjson.dumps(list(values)).decode()
