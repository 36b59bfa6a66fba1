"""Cutting a copy of an event store off at a point in time.

A copy only, that nobody has opened: in a store that is in use no event is ever deleted.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import orjson

from device_ledger.ledger.attempt import KEYED_KEPT, later
from device_ledger.wire.codec import partition_of
from device_ledger.wire.events import EVENT_TYPES

_SAYS = "json_extract(CAST(state AS TEXT), '$.data.{}')"
_RECORDED = _SAYS.format("recordedAt")
_COMMAND = ", ".join(
    ("originator_id", _RECORDED, *(_SAYS.format(name) for name in ("requestId", "commandAt")))
)
"""What tells commands apart: those of one customer, too, whose caller gives all the same ID."""


def cut_copy(path: Path, until: int | str) -> int:
    """Cut a copy after an event's id, or after a recorded time (RFC 3339, UTC, milliseconds); the
    last id that is left.

    A command is kept whole or not at all: its events lie together, its claims after them.

    Raises:
        sqlite3.Error: the copy can't be changed; nothing was.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        first = _first_after(db, until)
        if first is not None:
            _cut(db, _begin_of_command(db, first))
        [last] = db.execute("SELECT coalesce(max(rowid), 0) FROM stored_events").fetchone()
        db.execute("COMMIT")
    return int(last)


def _first_after(db: sqlite3.Connection, until: int | str) -> int | None:
    if isinstance(until, int):
        where, value = "rowid > ?", until
    else:
        where, value = f"{_RECORDED} > ?", until  # type: ignore[assignment]
    [first] = db.execute(f"SELECT min(rowid) FROM stored_events WHERE {where}", (value,)).fetchone()
    return None if first is None else int(first)


def _begin_of_command(db: sqlite3.Connection, first: int) -> int:
    """The first event of the command that an event is of."""
    # A claim says nothing of it, and lies after the customer's event.
    [begin, *command] = db.execute(
        f"SELECT rowid, {_COMMAND} FROM stored_events"
        f" WHERE rowid <= ? AND {_RECORDED} IS NOT NULL ORDER BY rowid DESC LIMIT 1",
        (first,),
    ).fetchone()
    before = db.execute(
        f"SELECT rowid, {_COMMAND} FROM stored_events"
        f" WHERE rowid < ? AND {_RECORDED} IS NOT NULL ORDER BY rowid DESC",
        (begin,),
    )
    for row_id, *its_command in before:
        if its_command != command:
            break
        begin = row_id
    return int(begin)


def _cut(db: sqlite3.Connection, first: int) -> None:
    [at] = db.execute(f"SELECT {_RECORDED} FROM stored_events WHERE rowid = ?", (first,)).fetchone()
    db.execute("DELETE FROM stored_events WHERE rowid >= ?", (first,))
    # A state that has more in it than the events that are left.
    db.execute(
        "DELETE FROM stored_snapshots WHERE originator_version > (SELECT coalesce(max(e."
        "originator_version), 0) FROM stored_events AS e"
        " WHERE e.originator_id = stored_snapshots.originator_id)"
    )
    # The answers of commands that never were. One more, of the same moment, is decided again.
    db.execute("DELETE FROM receipts WHERE expires_at >= ?", (later(at, KEYED_KEPT),))
    _set_heads(db)


def _set_heads(db: sqlite3.Connection) -> None:
    [partitions] = db.execute("SELECT partitions FROM ledger_identity").fetchone()
    had = {number for [number] in db.execute("SELECT partition FROM partition_heads")}
    heads: dict[int, int] = {}
    public = db.execute(
        f"SELECT rowid, state FROM stored_events WHERE topic IN"
        f" ({', '.join('?' * len(EVENT_TYPES))}) ORDER BY rowid DESC",
        EVENT_TYPES,
    )
    for row_id, state in public:
        heads.setdefault(partition_of(orjson.loads(state)["subject"], partitions), row_id)
        if had <= heads.keys():
            break
    db.execute("DELETE FROM partition_heads")
    db.executemany("INSERT INTO partition_heads VALUES (?, ?)", list(heads.items()))
