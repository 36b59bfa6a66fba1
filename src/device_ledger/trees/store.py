"""Where the logs' trees are kept.

A tree is kept as tiles (``proofs.tiles``), with how far its log was followed, which event or access
record each leaf is, and the checkpoints that were signed. One process writes: the relay. What is
written is never changed, but that the last tile of a level grows; a reader needs no snapshot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import pack, unpack
from typing import Final

from device_ledger.proofs import HAND_OVER, Nodes
from device_ledger.proofs.tiles import HASH_BYTES, WIDTH, append, nodes_in
from device_ledger.schemas import TREES
from device_ledger.settings import Settings
from device_ledger.trees.database import (
    Connection,
    Database,
    PostgresDatabase,
    SqliteDatabase,
    TreeStoreError,
)
from device_ledger.trees.epochs import enter_epoch
from device_ledger.trees.tables import SCHEMA
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG

_ID_BYTES: Final = 8
_NO_LIMIT: Final = 1 << 62


class TreeMovedError(TreeStoreError):
    """Another process wrote to the tree since it was read."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How many leaves a tree has, and how far its log was followed: for events the id of the last
    one, for access records the offset that comes next."""

    size: int = 0
    position: int = 0


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf to append: its leaf hash, the event's id or the access record's (empty where it can't
    be read), and for an access record the bank that it concerns."""

    hashed: bytes
    ref: str
    bank_id: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A signed checkpoint; ``offset`` is that of its record on the topic, once it is there."""

    size: int
    note: str
    offset: int | None


MakeNote = Callable[[Nodes], str | None]
"""Gives the signed checkpoint of a tree with these nodes, or none."""


class TreeStore:
    """The trees of all logs of a ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, settings: Settings) -> "TreeStore":
        """The store that the settings name, not yet connected: the event store's PostgreSQL, else
        a SQLite file below the home."""
        url = settings.event_store_url.get_secret_value()
        path = settings.home / "log" / "tree.db"
        return cls(PostgresDatabase(url) if url else SqliteDatabase(path))

    def prepare(self) -> None:
        """Make the tables where they are missing.

        Raises:
            SchemaError: they are of another version.
            TreeStoreError: they can't be made.
        """
        bytes_type = self._database.bytes_type
        self._database.prepare(TREES, tuple(one.format(bytes=bytes_type) for one in SCHEMA))

    def standing(self, log: str) -> Standing:
        """Where a tree stands; a new one has no leaves."""
        row = self._database.one("SELECT size, position FROM log_trees WHERE log = ?", log)
        return Standing(*row) if row else Standing()

    def enter_epoch(self, log: str, epoch: int) -> None:
        """Begin the tree of a log anew where it is of an earlier epoch; that one, with what was
        signed of it, is kept under a name of its own.

        Raises:
            LaterEpochError: it is of a later epoch.
            TreeStoreError: the database failed.
        """

        self._database.transact(lambda db: enter_epoch(self._database, db, log, epoch))

    def verifier(self, log: str) -> str:
        """The verifier key of the log's checkpoints; empty before there was one."""
        row = self._database.one("SELECT verifier FROM log_trees WHERE log = ?", log)
        return str(row[0]) if row else ""

    def set_verifier(self, log: str, verifier: str) -> None:
        """Keep the verifier key of the log's checkpoints."""
        statement = (
            "INSERT INTO log_trees (log, size, position, verifier) VALUES (?, 0, 0, ?)"
            " ON CONFLICT (log) DO UPDATE SET verifier = excluded.verifier"
        )
        self._database.run(lambda db: self._database.execute(db, statement, log, verifier))

    def nodes(self, log: str) -> Nodes:
        """The nodes of a tree, for proofs; each of its tiles is read once."""
        return nodes_in(lambda level, place: self._read_tile(log, level, place))

    def leaf_hashes(self, log: str, start: int, end: int) -> list[bytes]:
        """The leaf hashes from one leaf up to another; fewer where the tree has no more."""
        first = start // WIDTH
        places = range(first, -(-end // WIDTH))
        found = b"".join(self._read_tile(log, 0, place) for place in places)
        every = [found[at : at + HASH_BYTES] for at in range(0, len(found), HASH_BYTES)]
        return every[start - first * WIDTH : end - first * WIDTH]

    def append(
        self,
        log: str,
        before: Standing,
        leaves: Sequence[Leaf],
        position: int,
        make_note: MakeNote = lambda _: None,
    ) -> Standing:
        """Add leaves, move the position, and keep the checkpoint of the tree as it is then: all
        of it, durable on return, or nothing.

        Raises:
            TreeMovedError: the tree isn't where it was.
            TreeStoreError: the database failed; whether it has committed is not known.
        """
        after = Standing(before.size + len(leaves), position)

        def work(db: Connection) -> None:
            self._move(db, log, before, after)
            hashes = [leaf.hashed for leaf in leaves]
            changed = append(before.size, hashes, lambda *at: self._tile(db, log, *at))
            for (level, place), tile in changed.items():
                self._keep_tile(db, log, level, place, tile)
            keep_refs = self._keep_ids if log == EVENTS_LOG else self._keep_access
            keep_refs(db, before.size, leaves)
            note = make_note(nodes_in(lambda *at: self._tile(db, log, *at)))
            if note is not None:
                insert = "INSERT INTO log_checkpoints VALUES (?, ?, ?, NULL)"
                self._database.execute(db, insert, log, after.size, note)

        self._database.transact(work)
        return after

    def checkpoints(
        self,
        log: str,
        *,
        above: int = -1,
        up_to: int | None = None,
        limit: int = 1_000,
        newest_first: bool = False,
    ) -> list[Stored]:
        """Checkpoints of more than ``above`` leaves and at most ``up_to``, by their size."""
        rows = self._database.all(
            "SELECT size, note, topic_offset FROM log_checkpoints WHERE log = ? AND size > ?"
            f" AND size <= ? ORDER BY size {'DESC' if newest_first else ''} LIMIT ?",
            *(log, above, _NO_LIMIT if up_to is None else up_to, limit),
        )
        return [Stored(*row) for row in rows]

    def newest_checkpoint(self, log: str, up_to: int | None = None) -> Stored | None:
        """The checkpoint of the most leaves, but of at most ``up_to``."""
        found = self.checkpoints(log, up_to=up_to, limit=1, newest_first=True)
        return found[0] if found else None

    def hand_overs(self, log: str) -> list[str]:
        """The checkpoints that hand a log over to another key, by their size. Looks at all."""
        query = "SELECT note FROM log_checkpoints WHERE log = ? AND note LIKE ? ORDER BY size"
        return [row[0] for row in self._database.all(query, log, f"%\n{HAND_OVER}%")]

    def unpublished(self, log: str, limit: int = 100) -> list[Stored]:
        """The oldest checkpoints that aren't on the topic yet."""
        rows = self._database.all(
            "SELECT size, note, topic_offset FROM log_checkpoints"
            " WHERE log = ? AND topic_offset IS NULL ORDER BY size LIMIT ?",
            *(log, limit),
        )
        return [Stored(*row) for row in rows]

    def published_up_to(self) -> int:
        """The highest offset of a checkpoint that is known to be on the topic; -1 for none."""
        [highest] = self._database.one("SELECT max(topic_offset) FROM log_checkpoints")
        return -1 if highest is None else int(highest)

    def keep_published(self, log: str, published: Sequence[Stored]) -> list[str]:
        """Keep that checkpoints are on the topic; the note that is kept of each one's size."""
        insert = (
            "INSERT INTO log_checkpoints VALUES (?, ?, ?, ?) ON CONFLICT (log, size)"
            " DO UPDATE SET topic_offset = excluded.topic_offset RETURNING note"
        )

        def keep(db: Connection) -> list[str]:
            rows = [(one.size, one.note, one.offset) for one in published]
            found = [self._database.execute(db, insert, log, *row).fetchall() for row in rows]
            return [str(note) for [[note]] in found]

        return self._database.transact(keep)

    def leaf_of(self, log: str, ref: str) -> tuple[int, str | None] | None:
        """Which leaf an event or access record is, and for the latter the bank that it concerns."""
        if log == ACCESS_LOG:
            row = self._database.one("SELECT leaf, bank_id FROM log_access WHERE ref = ?", ref)
            return (row[0], row[1]) if row else None
        row = self._database.one(
            "SELECT place, ids FROM log_events WHERE first_id <= ? ORDER BY first_id DESC LIMIT 1",
            int(ref),
        )
        ids = _ids(row[1]) if row else []
        return (row[0] * WIDTH + ids.index(int(ref)), None) if int(ref) in ids else None

    def ref_of(self, log: str, leaf: int) -> str:
        """The event or access record that a leaf is; empty where it can't be told.

        For access records this looks at all of them.
        """
        if log == ACCESS_LOG:
            row = self._database.one("SELECT ref FROM log_access WHERE leaf = ?", leaf)
            return str(row[0]) if row else ""
        row = self._database.one("SELECT ids FROM log_events WHERE place = ?", leaf // WIDTH)
        ids = _ids(row[0]) if row else []
        return str(ids[leaf % WIDTH]) if leaf % WIDTH < len(ids) else ""

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _move(self, db: Connection, log: str, before: Standing, after: Standing) -> None:
        insert = (
            "INSERT INTO log_trees (log, size, position, verifier) VALUES (?, 0, 0, '')"
            " ON CONFLICT DO NOTHING"
        )
        self._database.execute(db, insert, log)
        moved = self._database.execute(
            db,
            "UPDATE log_trees SET size = ?, position = ?"
            " WHERE log = ? AND size = ? AND position = ?",
            *(after.size, after.position, log, before.size, before.position),
        )
        if moved.rowcount != 1:
            raise TreeMovedError(f"another process writes to the tree of the {log} log")

    def _read_tile(self, log: str, level: int, place: int) -> bytes:
        return self._database.run(lambda db: self._tile(db, log, level, place))

    def _tile(self, db: Connection, log: str, level: int, place: int) -> bytes:
        query = "SELECT hashes FROM log_tiles WHERE log = ? AND level = ? AND place = ?"
        row = self._database.execute(db, query, log, level, place).fetchone()
        return bytes(row[0]) if row else b""

    def _keep_tile(self, db: Connection, log: str, level: int, place: int, tile: bytes) -> None:
        upsert = (
            "INSERT INTO log_tiles VALUES (?, ?, ?, ?)"
            " ON CONFLICT (log, level, place) DO UPDATE SET hashes = excluded.hashes"
        )
        self._database.execute(db, upsert, log, level, place, tile)

    def _keep_ids(self, db: Connection, size: int, leaves: Sequence[Leaf]) -> None:
        upsert = (
            "INSERT INTO log_events VALUES (?, ?, ?)"
            " ON CONFLICT (place) DO UPDATE SET ids = excluded.ids"
        )
        for place in range(size // WIDTH, -(-(size + len(leaves)) // WIDTH)):
            query = "SELECT ids FROM log_events WHERE place = ?"
            row = self._database.execute(db, query, place).fetchone()
            ids = _ids(row[0]) if row else []
            start = place * WIDTH + len(ids) - size
            ids += [int(leaf.ref) for leaf in leaves[start : start + WIDTH - len(ids)]]
            self._database.execute(db, upsert, place, ids[0], pack(f">{len(ids)}q", *ids))

    def _keep_access(self, db: Connection, size: int, leaves: Sequence[Leaf]) -> None:
        insert = "INSERT INTO log_access VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        for place, leaf in enumerate(leaves, size):
            if leaf.ref:
                self._database.execute(db, insert, leaf.ref, place, leaf.bank_id)


def _ids(packed: bytes) -> list[int]:
    return list(unpack(f">{len(packed) // _ID_BYTES}q", packed))
