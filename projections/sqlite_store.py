"""Read models on SQLite: a file for each generation, and a pointer file that names the live one.

One process writes the live generations; any number read them, without waiting (WAL).
"""

import fcntl
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson

from device_ledger.durable import write_whole
from projections.guard import Standing
from projections.model import ReadModel
from projections.store import Generation, GenerationGoneError, StoreInUseError

POINTER = "live"

_POSITIONS = """
CREATE TABLE positions (
    partition INTEGER PRIMARY KEY,
    last_id INTEGER NOT NULL,
    last_offset INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    source TEXT NOT NULL
);
"""
# Pages: a bulk load pays for checkpoints seldom, and the log stays below about 80 MB.
_CHECKPOINT_PAGES = 20_000
_BUILDING_CACHE_KIB = 64 << 10
"""Rows come in the order of their keys' hashes: a generation that is built touches all pages."""
_PATIENCE = 5.0
"""Seconds until whoever wants to write gives up."""
_BUILDING_PATIENCE = 60.0
"""The same where several fill a generation: whose turn is next is left to chance."""


def live_file(folder: Path) -> Path | None:
    """The file of a read model's live generation, where there is one."""
    try:
        name = (folder / POINTER).read_text()
    except FileNotFoundError:
        return None
    file = folder / f"{name}.db"
    return file if file.exists() else None


class SqliteTransaction:
    """A generation under change."""

    def __init__(self, connection: sqlite3.Connection, model: ReadModel) -> None:
        self._connection = connection
        self._model = model
        self.standings = _standings(connection)
        """Where the generation stands, in every partition."""

    def load(self, keys: Collection[str]) -> dict[str, Any]:
        """The rows that there are of these keys."""
        model = self._model
        rows = self._connection.execute(
            f"SELECT {', '.join(model.columns)} FROM {model.table}"
            f" WHERE {model.key} IN (SELECT value FROM json_each(?))",
            (orjson.dumps(list(keys)).decode(),),
        )
        return {row[0]: model.row(*row) for row in rows}

    def save(self, rows: Sequence[Any]) -> None:
        """Write rows, new or not."""
        changes = ", ".join(f"{column} = excluded.{column}" for column in self._model.columns[1:])
        self._insert(rows, f"DO UPDATE SET {changes}")

    def append(self, rows: Sequence[Any]) -> None:
        """Write the rows whose key is not there yet; the others stay as they are."""
        self._insert(rows, "DO NOTHING")

    def _insert(self, rows: Sequence[Any], where_there: str) -> None:
        model = self._model
        self._connection.executemany(
            f"INSERT INTO {model.table} ({', '.join(model.columns)})"
            f" VALUES ({', '.join('?' * len(model.columns))})"
            f" ON CONFLICT ({model.key}) {where_there}",
            rows,
        )

    def remove(self, keys: Collection[str]) -> None:
        """Remove rows."""
        self._connection.executemany(
            f"DELETE FROM {self._model.table} WHERE {self._model.key} = ?", [(k,) for k in keys]
        )

    def count(self, deltas: Mapping[tuple[str, int], int]) -> None:
        """Add to the counts of (value, partition)."""
        self._connection.executemany(
            "INSERT INTO counts (value, partition, total) VALUES (?, ?, ?)"
            " ON CONFLICT (value, partition) DO UPDATE SET total = counts.total + excluded.total",
            [(value, partition, delta) for (value, partition), delta in deltas.items()],
        )

    def move(self, standings: Mapping[int, Standing]) -> None:
        """Set where the read model stands."""
        self._connection.executemany(
            "UPDATE positions SET last_id = ?, last_offset = ?, next_offset = ?, source = ?"
            " WHERE partition = ?",
            [
                (at.last_id, at.last_offset, at.next_offset, at.source, partition)
                for partition, at in standings.items()
            ],
        )


class SqliteGeneration:
    """An open generation."""

    def __init__(self, file: Path, model: ReadModel, *, live: bool) -> None:
        self.name = file.stem
        self._file = file
        self._model = model
        self._live = live
        with self._undamaged():
            try:
                self._connection = _connect(file, _PATIENCE if live else _BUILDING_PATIENCE)
                if not live:
                    self._connection.execute(f"PRAGMA cache_size = -{_BUILDING_CACHE_KIB}")
                self._inode = file.stat().st_ino
            except (sqlite3.OperationalError, FileNotFoundError):
                if file.exists():
                    raise
                raise GenerationGoneError(self.name) from None

    @contextmanager
    def transaction(self, partitions: Collection[int]) -> Iterator[SqliteTransaction]:  # noqa: ARG002
        """Change rows and positions, all or nothing; the whole file is locked.

        Raises:
            GenerationGoneError: it was replaced, or its file is gone; nothing is changed.
        """
        with self._undamaged():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._make_sure()
                yield SqliteTransaction(self._connection, self._model)
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _undamaged(self) -> Iterator[None]:
        """A damaged file is a lost one."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                self._file.unlink(missing_ok=True)
                raise GenerationGoneError(self.name) from error
            raise

    def _make_sure(self) -> None:
        try:
            if self._live and (self._file.parent / POINTER).read_text() != self.name:
                raise GenerationGoneError(self.name)
            if self._file.stat().st_ino != self._inode:
                raise GenerationGoneError(self.name)
        except FileNotFoundError:
            raise GenerationGoneError(self.name) from None

    def standings(self) -> dict[int, Standing]:
        """Where it stands, by partition."""
        self._make_sure()
        with self._undamaged():
            return _standings(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class SqliteStore:
    """Read models below a directory, a folder each."""

    retriable: tuple[type[Exception], ...] = (sqlite3.OperationalError, OSError)

    def __init__(self, root: Path) -> None:
        self._root = root

    def live(self, model: ReadModel) -> str | None:
        """The name of the live generation, where there is one and its file is there."""
        file = live_file(self._root / model.name)
        if file and file.stem.endswith(model.fingerprint("sqlite")):
            return file.stem
        return None

    def create(self, model: ReadModel, partitions: int) -> str:
        """Make an empty generation beside the others; its name."""
        name = f"g{time.time_ns():x}_{model.fingerprint('sqlite')}"
        file = self._root / model.name / f"{name}.db"
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            file.chmod(0o600)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"BEGIN; {_POSITIONS} {model.schema('sqlite')} COMMIT;")
            connection.executemany(
                "INSERT INTO positions VALUES (?, 0, -1, 0, '')",
                [(partition,) for partition in range(partitions)],
            )
        return name

    def open(self, model: ReadModel, generation: str, *, live: bool) -> Generation:
        """Open a generation; as the live one, each transaction makes sure that it still is."""
        return SqliteGeneration(self._root / model.name / f"{generation}.db", model, live=live)

    def point(self, model: ReadModel, generation: str | None) -> None:
        """Make a generation the live one, at once for all readers; ``None``: there is none."""
        pointer = self._root / model.name / POINTER
        if generation is None:
            pointer.unlink(missing_ok=True)
            return
        write_whole(pointer, generation.encode())

    def remove_others(self, model: ReadModel) -> None:
        """Remove what interrupted rebuilds left: all generations but the one pointed to."""
        kept = live_file(self._root / model.name)
        for file in (self._root / model.name).glob("g*.db*"):
            if kept is None or file.name.split(".")[0] != kept.stem:
                file.unlink(missing_ok=True)

    @contextmanager
    def building(self, model: ReadModel) -> Iterator[None]:
        """Hold the right to make generations of a read model."""
        folder = self._root / model.name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(folder / "building.lock", f"{model.name} is being rebuilt already"):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to write live generations: SQLite is for one worker."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        message = (
            "another worker writes these read models: SQLite is for one,"
            " DEVICE_LEDGER_READ_MODELS_URL=postgresql://… for many"
        )
        with _locked(self._root / "writing.lock", message):
            yield


def _connect(file: Path, patience: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=patience,
    )
    # What a power cut takes from the end is read again from the topic.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    return connection


def _standings(connection: sqlite3.Connection) -> dict[int, Standing]:
    rows = connection.execute(
        "SELECT partition, last_id, last_offset, next_offset, source FROM positions"
    )
    return {partition: Standing(*rest) for partition, *rest in rows}


@contextmanager
def _locked(file: Path, message: str) -> Iterator[None]:
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUseError(message) from None
        yield
