"""The event store on PostgreSQL, for any number of API processes.

The library's table lock makes the order of ids the order of commits. It is taken before the
versions are checked, so that nothing can move between the check and the commit.
"""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import Notification, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from psycopg import Cursor
from psycopg.rows import DictRow

from device_ledger.ledger.postgres_factory import PREPARE_LOCK, MadeByOne
from device_ledger.ledger.receipts import StoredReceipt
from device_ledger.ledger.stores import (
    HEADS,
    PURGE_MAX,
    SNAPSHOT_TOPICS,
    ConflictError,
    Identity,
    StoreRefusedError,
    Stream,
    Unit,
    made_by,
    new_heads,
    read_heads,
    schema,
)
from device_ledger.postgres import is_alone
from device_ledger.schemas import EVENTS, IN_POSTGRESQL

# An ORDER BY keeps the planner from turning the inner query into a hash join over the table.
_SNAPSHOTS = (
    "SELECT s.* FROM unnest(%s::uuid[]) AS w(id) CROSS JOIN LATERAL"
    " (SELECT * FROM device_ledger_snapshots WHERE originator_id = w.id"
    f" AND topic IN ({SNAPSHOT_TOPICS})"
    " ORDER BY originator_version DESC LIMIT 1) AS s"
)
_EVENTS = (
    "SELECT e.* FROM unnest(%s::uuid[], %s::bigint[]) AS w(id, after) CROSS JOIN LATERAL"
    " (SELECT originator_id, originator_version, topic, state FROM device_ledger_events"
    " WHERE originator_id = w.id AND originator_version > w.after"
    " ORDER BY originator_version) AS e"
)
_VERSIONS = (
    "SELECT w.id, (SELECT originator_version FROM device_ledger_events WHERE originator_id = w.id"
    " ORDER BY originator_version DESC LIMIT 1) AS version FROM unnest(%s::uuid[]) AS w(id)"
)
_MOVE_HEADS = (
    "INSERT INTO partition_heads SELECT * FROM unnest(%s::int[], %s::bigint[])"
    " ON CONFLICT (partition) DO UPDATE SET last_id = excluded.last_id"
)
_KEEP_RECEIPTS = (
    "INSERT INTO receipts SELECT * FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[])"
    " ON CONFLICT (receipt_id) DO UPDATE SET body_hash = excluded.body_hash,"
    " answer = excluded.answer, expires_at = excluded.expires_at WHERE receipts.expires_at <= %s"
)
_LAST_ID = "SELECT setval(pg_get_serial_sequence('device_ledger_events', 'notification_id'), %s)"
_ERASURES = "SELECT * FROM device_ledger_events WHERE topic = 'erasure.ordered.v1'"
_PURGE = (
    "DELETE FROM receipts WHERE receipt_id IN"
    f" (SELECT receipt_id FROM receipts WHERE expires_at <= %s LIMIT {PURGE_MAX})"
)


class PostgresLedgerRecorder(MadeByOne, PostgresApplicationRecorder):
    """See :class:`device_ledger.ledger.stores.LedgerRecorder`."""

    _epoch = 0

    def prepare(self, partitions: int) -> Identity:
        """Make the ledger's tables and its identity, or read them."""
        with self.datastore.transaction(commit=True) as c:
            c.execute("SELECT pg_advisory_xact_lock(%s)", (PREPARE_LOCK,))

            def ask(statement: str, *values: Any) -> list[Any]:
                c.execute(statement.replace("?", "%s"), values)
                return [tuple(row.values()) for row in c.fetchall()] if c.description else []

            is_made = EVENTS.expect(ask, IN_POSTGRESQL)
            for statement in self._to_make(c):
                c.execute(statement)
            if not is_made:
                EVENTS.note(ask)
            c.execute(
                "INSERT INTO ledger_identity (ledger_id, epoch, partitions) VALUES (%s, 1, %s)"
                " ON CONFLICT (one) DO NOTHING",
                (str(uuid4()), partitions),
            )
            c.execute("SELECT ledger_id, epoch, partitions FROM ledger_identity")
            row = c.fetchone() or {}
        self._epoch = row["epoch"]
        return Identity(row["ledger_id"], row["epoch"], row["partitions"])

    def begin_epoch(self, epoch: int, first_id: int, unit: Unit) -> None:
        """In one transaction, while nobody else is connected."""
        insert = (
            "INSERT INTO device_ledger_events"
            " (notification_id, originator_id, originator_version, topic, state)"
            " VALUES (%s, %s, %s, %s, %s)"
        )
        ids = range(first_id, first_id + len(unit.events))
        with self.datastore.transaction(commit=True) as c:
            self._lock_table(c)
            if not is_alone(lambda query: c.execute(query).fetchall()):
                raise StoreRefusedError(
                    "other processes are connected to the event store's database: stop them first"
                )
            c.executemany(
                insert,
                [
                    (at, one.originator_id, one.originator_version, one.topic, one.state)
                    for at, one in zip(ids, unit.events, strict=True)
                ],
            )
            c.execute(_LAST_ID, (ids[-1],))
            moved = new_heads(ids, unit.partitions)
            c.execute(_MOVE_HEADS, (list(moved), list(moved.values())))
            c.execute("UPDATE ledger_identity SET epoch = %s", (epoch,))
        self._epoch = epoch

    def _to_make(self, c: Cursor[DictRow]) -> list[str]:
        """Nothing where all is there: even an index that exists asks for a lock on its table, and
        those of two tables would be taken against the order in which a commit takes them."""
        statements = schema("postgres")
        all_there = (
            "SELECT bool_and(to_regclass(it) IS NOT NULL) AS made FROM unnest(%s::text[]) it"
        )
        c.execute(all_there, (made_by(statements),))
        row = c.fetchone() or {}
        return [] if row["made"] else statements

    def load(self, originators: Collection[UUID]) -> dict[UUID, Stream]:
        """Snapshots first, then the events after them."""
        streams: dict[UUID, Stream] = {}
        with self.datastore.get_connection() as conn, conn.cursor() as c:
            c.execute(_SNAPSHOTS, (list(originators),), prepare=True)
            after = dict.fromkeys(originators, 0)
            for row in c.fetchall():
                streams[row["originator_id"]] = Stream(_stored(row))
                after[row["originator_id"]] = row["originator_version"]
            c.execute(_EVENTS, (list(after), list(after.values())), prepare=True)
            for row in c.fetchall():
                streams.setdefault(row["originator_id"], Stream()).events.append(_stored(row))
        return streams

    def receipts(self, receipt_ids: Collection[str], now: str) -> dict[str, StoredReceipt]:
        """One query for all."""
        with self.datastore.get_connection() as conn, conn.cursor() as c:
            c.execute(
                "SELECT * FROM receipts WHERE receipt_id = ANY(%s) AND expires_at > %s",
                (list(receipt_ids), now),
                prepare=True,
            )
            return {row["receipt_id"]: _receipt(row) for row in c.fetchall()}

    def append(self, unit: Unit) -> dict[int, int]:
        """One transaction: check what was read, then write."""
        with (
            self.datastore.get_connection() as conn,
            conn.transaction(),
            conn.cursor() as c,
        ):
            if unit.events:
                self._lock_table(c)
            self._check(c, unit)
            if unit.events:
                self._write_events(c, unit)
            if unit.receipts:
                self._write_receipts(c, unit)
            return self._heads(c)

    def _check(self, c: Cursor[DictRow], unit: Unit) -> None:
        c.execute(_VERSIONS, (list(unit.read),), prepare=True)
        if {row["id"]: row["version"] or 0 for row in c.fetchall()} != unit.read:
            raise ConflictError

    def _write_events(self, c: Cursor[DictRow], unit: Unit) -> None:
        self._notify_channel(c)
        rows = [
            self.construct_pg_stored_event(
                one.originator_id, one.originator_version, one.topic, one.state
            )
            for one in unit.events
        ]
        c.execute(self.insert_events_statement, (rows,), prepare=True)
        ids = [row["notification_id"] for row in c.fetchall()]
        moved = new_heads(ids, unit.partitions)
        if moved:
            c.execute(_MOVE_HEADS, (list(moved), list(moved.values())), prepare=True)

    def _write_receipts(self, c: Cursor[DictRow], unit: Unit) -> None:
        columns = (
            [one.receipt_id for one in unit.receipts],
            [one.body_hash for one in unit.receipts],
            [one.answer for one in unit.receipts],
            [one.expires_at for one in unit.receipts],
        )
        c.execute(_KEEP_RECEIPTS, (*columns, unit.now), prepare=True)
        if c.rowcount != len(unit.receipts):
            raise ConflictError

    def erasures(self, after: int, limit: int) -> list[Notification]:
        """By an index of their own."""
        query = f"{_ERASURES} AND notification_id > %s ORDER BY notification_id LIMIT %s"
        with self.datastore.get_connection() as conn, conn.cursor() as c:
            c.execute(query, (after, limit))
            return [_notification(row) for row in c.fetchall()]

    def erasures_of(self, originator: UUID) -> list[Notification]:
        """Of all that is stored of the customer."""
        query = f"{_ERASURES} AND originator_id = %s ORDER BY originator_version"
        with self.datastore.get_connection() as conn, conn.cursor() as c:
            c.execute(query, (originator,))
            return [_notification(row) for row in c.fetchall()]

    def heads(self) -> dict[int, int]:
        """Read the heads that each append keeps."""
        with self.datastore.get_connection() as conn, conn.cursor() as c:
            return self._heads(c)

    def _heads(self, c: Cursor[DictRow]) -> dict[int, int]:
        c.execute(HEADS, prepare=True)
        rows = ((row["partition"], row["last_id"]) for row in c.fetchall())
        return read_heads(rows, self._epoch)

    def add_snapshots(self, snapshots: Sequence[StoredEvent]) -> None:
        """Insert those that aren't there."""
        rows = [
            (one.originator_id, one.originator_version, one.topic, one.state) for one in snapshots
        ]
        with self.datastore.transaction(commit=True) as c:
            c.executemany(
                "INSERT INTO device_ledger_snapshots VALUES (%s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                rows,
            )

    def purge_receipts(self, now: str) -> int:
        """In one small transaction."""
        with self.datastore.transaction(commit=True) as c:
            c.execute(_PURGE, (now,))
            return c.rowcount


def _stored(row: dict[str, Any]) -> StoredEvent:
    return StoredEvent(
        row["originator_id"], row["originator_version"], row["topic"], bytes(row["state"])
    )


def _notification(row: dict[str, Any]) -> Notification:
    return Notification(
        row["originator_id"],
        row["originator_version"],
        row["topic"],
        bytes(row["state"]),
        row["notification_id"],
    )


def _receipt(row: dict[str, Any]) -> StoredReceipt:
    return StoredReceipt(
        row["receipt_id"], row["body_hash"], bytes(row["answer"]), row["expires_at"]
    )
