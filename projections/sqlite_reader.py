"""Reading SQLite read models on the event loop: a read costs tens of microseconds.

The pointer is looked at before every read, so a swap or a lost file shows at the next one.
"""

import asyncio
import os
import re
import sqlite3
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import orjson

from projections.model import Position
from projections.readers import NotReadyError, Shown, Statement, covers
from projections.sqlite_store import POINTER, live_file
from projections.threads import finish_in_thread

_POLL = 0.002
"""Seconds between two looks at a file that someone waits for."""

_POSITION = "SELECT partition, last_id FROM positions"


class SqliteReadModels:
    """The read models below a directory. For one event loop."""

    engine: Literal["sqlite", "postgresql"] = "sqlite"

    def __init__(self, root: Path) -> None:
        self._root = root
        self._readers: dict[str, _Reader] = {}
        self._slow_readers: dict[str, _Reader] = {}
        self._slow = asyncio.Lock()

    async def read(
        self, model: str, *statements: Statement, slow: bool = False
    ) -> Shown[list[list[tuple[Any, ...]]]]:
        """Run queries on one snapshot of a read model; the rows of each.

        ``slow`` ones run in a thread, one after the other, on a connection of their own.

        Raises:
            NotReadyError: there is no live generation.
        """
        if not slow:
            return self._reader(model).read(statements)
        reader = self._reader(model, self._slow_readers)
        async with self._slow:
            return await finish_in_thread(reader.read, statements)

    async def wait_for(self, model: str, position: Position, within: float) -> bool:
        """Wait until a read model shows a position; false where it doesn't in that many seconds."""
        reader = self._reader(model)
        try:
            async with asyncio.timeout(within):
                while True:
                    version = reader.version()
                    if covers(reader.position(), position):
                        return True
                    await reader.change_from(version)
        except TimeoutError:
            return False

    async def close(self) -> None:
        """Close all files."""
        async with self._slow:
            for reader in (*self._readers.values(), *self._slow_readers.values()):
                reader.stop()
            self._readers.clear()
            self._slow_readers.clear()

    def _reader(self, model: str, among: "dict[str, _Reader] | None" = None) -> "_Reader":
        readers = self._readers if among is None else among
        if model not in readers:
            readers[model] = _Reader(self._root / model)
        return readers[model]


class _Reader:
    """One read model: a connection to its live file, made anew when that changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pointer = str(folder / POINTER)
        self._connection: sqlite3.Connection | None = None
        self._file: str | None = None
        self._identity: tuple[int, int, int] | None = None
        self._known: tuple[int, Position] | None = None
        self._watching: asyncio.Task[None] | None = None

    def read(self, statements: tuple[Statement, ...]) -> Shown[list[list[tuple[Any, ...]]]]:
        """Run queries in one read transaction."""
        connection = self._current()
        try:
            connection.execute("BEGIN")
            try:
                rows = [
                    connection.execute(_translated(sql), _values(values)).fetchall()
                    for sql, values in statements
                ]
                return Shown(rows, self._position_of(connection))
            finally:
                connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self.close()
            raise NotReadyError(f"{self._folder.name} can't be read: {error}") from error

    def _position_of(self, connection: sqlite3.Connection) -> Position:
        """The position of the snapshot; read again only where another commit is seen."""
        [version] = connection.execute("PRAGMA data_version").fetchone()
        if self._known is None or self._known[0] != version:
            self._known = version, dict(connection.execute(_POSITION).fetchall())
        return self._known[1]

    def position(self) -> Position:
        """The position shown; an empty one where there is nothing to read yet."""
        try:
            return self.read(()).position
        except NotReadyError:
            return {}

    async def change_from(self, version: tuple[object, ...]) -> None:
        """Wait for a commit of the writer, or a swap; one look serves all who wait."""
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(version))
        await asyncio.shield(self._watching)

    async def _watch(self, version: tuple[object, ...]) -> None:
        while self.version() == version:  # noqa: ASYNC110 - files give no event
            await asyncio.sleep(_POLL)

    def version(self) -> tuple[object, ...]:
        """What is different after every commit of the writer and every swap."""
        try:
            connection = self._current()
            return (self._identity, *connection.execute("PRAGMA data_version").fetchone())
        except (NotReadyError, sqlite3.DatabaseError):
            return ()

    def _current(self) -> sqlite3.Connection:
        try:
            identity = self._look()
        except FileNotFoundError:
            identity = None
        if self._connection is None or identity is None or identity != self._identity:
            self.close()
            self._connection = self._connect()
        return self._connection

    def _look(self) -> tuple[int, int, int]:
        pointer = os.stat(self._pointer)  # noqa: PTH116 - at every read: a Path's own is slower
        if self._file is None:
            return (pointer.st_ino, pointer.st_mtime_ns, 0)
        return (pointer.st_ino, pointer.st_mtime_ns, os.stat(self._file).st_ino)  # noqa: PTH116

    def _connect(self) -> sqlite3.Connection:
        file = live_file(self._folder)
        if file is None:
            raise NotReadyError(f"{self._folder.name} is not built yet")
        self._file = str(file)
        try:
            self._identity = self._look()
            connection = sqlite3.connect(
                f"{file.absolute().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            connection.execute("PRAGMA query_only = ON")
        except (sqlite3.DatabaseError, FileNotFoundError) as error:
            self._file = None
            raise NotReadyError(f"{self._folder.name} can't be opened") from error
        return connection

    def stop(self) -> None:
        """Close the file, and wait for no more changes of it."""
        if self._watching:
            self._watching.cancel()
        self.close()

    def close(self) -> None:
        """Close the file; the next read opens the live one."""
        if self._connection:
            self._connection.close()
        self._connection = self._file = self._identity = self._known = None


@lru_cache(maxsize=256)
def _translated(sql: str) -> str:
    return re.sub(r"IN :(\w+)", r"IN (SELECT value FROM json_each(:\1))", sql)


def _values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: orjson.dumps(value).decode() if isinstance(value, list) else value
        for name, value in values.items()
    }
