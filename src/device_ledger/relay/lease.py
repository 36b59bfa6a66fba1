"""The lease that makes the relay single, and the bell that wakes it.

On PostgreSQL both live on one connection: an advisory lock, gone with the connection, and LISTEN.
On SQLite a lock file, and a named pipe that writers ring (`ledger.bell`): SQLite can't notify.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Protocol

from psycopg import AsyncConnection, sql

from device_ledger.ledger.bell import Listening, bell_of, listening
from device_ledger.postgres import conninfo
from device_ledger.settings import Settings

LOCK_KEY = 0x72656C6179
CHANNEL = "device_ledger_events"
TRY_LOCK_SECONDS = 0.2


class Lease(Protocol):
    """Held by one relay at a time."""

    async def changed(self, within: float) -> bool:
        """Wait until the event store may have changed; False where ``within`` seconds went by.

        Raises:
            Exception: the lease may be lost.
        """
        ...


@asynccontextmanager
async def take_lease(settings: Settings) -> AsyncIterator[Lease]:
    """Wait until no other relay holds the lease, then hold it."""
    url = settings.event_store_url.get_secret_value()
    if url:
        async with await AsyncConnection.connect(conninfo(url), autocommit=True) as connection:
            await connection.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
            yield PostgresLease(connection)
    else:
        directory = settings.home / "ledger"
        lock = await _lock_file(directory / "relay.lock")
        try:
            events = directory / "events.db"
            with closing(sqlite3.connect(events)) as connection, listening(bell_of(events)) as bell:
                yield SqliteLease(connection, bell)
        finally:
            os.close(lock)


class PostgresLease:
    """An advisory lock and LISTEN on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def changed(self, within: float) -> bool:
        """Wait for the recorder's NOTIFY; fails when the connection, and so the lock, is gone."""
        async for _ in self._connection.notifies(timeout=within, stop_after=1):
            return True
        return False


class SqliteLease:
    """A lock file; hears the bell, and looks at the change counter where none rang."""

    def __init__(self, connection: sqlite3.Connection, bell: Listening) -> None:
        self._connection = connection
        self._bell = bell
        self._seen = self._version()

    async def changed(self, within: float) -> bool:
        """Wait for the bell; whatever was written meanwhile counts also where it did not ring."""
        rung = await self._bell.rung(within)
        before, self._seen = self._seen, self._version()
        return rung or self._seen != before

    def _version(self) -> int:
        [version] = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)


async def _lock_file(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            await asyncio.sleep(TRY_LOCK_SECONDS)
        else:
            return lock
