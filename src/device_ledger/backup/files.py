"""Files that are on the disk, whole or not at all; and copies of databases that are in use."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import file_digest
from pathlib import Path
from typing import Final

from device_ledger.durable import sync

Report = Callable[[int, int], None]
"""Told the bytes done so far, and how many there are."""

PAGES: Final = 1_000
"""Pages that are copied at once: some 4 MB, after which progress is told."""


def copy_database(source: Path, target: Path, report: Report) -> None:
    """Copy a SQLite database as it is at one moment, while others read and write it.

    Row ids stay: they are the events' ids. ``VACUUM INTO`` would give them anew.

    Raises:
        sqlite3.Error: the database can't be read, or the copy can't be written.
    """
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    address = f"{source.resolve().as_uri()}?mode=rw"
    with (
        closing(sqlite3.connect(address, uri=True, timeout=10, isolation_level=None)) as database,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        # An open transaction holds the moment. Without it each commit of another process would
        # begin the copy anew, and under load it would never end.
        database.execute("BEGIN")
        [size] = database.execute("PRAGMA page_size").fetchone()
        database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        database.backup(
            copy,
            pages=PAGES,
            progress=lambda _, left, total: report((total - left) * size, total * size),
        )
        copy.execute("PRAGMA journal_mode = DELETE")
    sync(target)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file that nobody writes."""
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    shutil.copyfile(source, target)
    sync(target)


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def make_folders(path: Path, root: Path) -> None:
    """Make a folder below a root, closed to others, and all between them."""
    if path != root:
        make_folders(path.parent, root)
    path.mkdir(mode=0o700, exist_ok=True)


def sync_all(root: Path) -> None:
    """Return when a folder's names, and those of all folders below it, are on the disk."""
    for folder, _, _ in os.walk(root):
        sync(Path(folder))


def is_sound(path: Path) -> bool:
    """Whether SQLite finds a database's pages and indexes in order; it reads all of it."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    except sqlite3.DatabaseError:
        return False
