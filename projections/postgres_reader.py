"""Reading PostgreSQL read models: all queries of a read go out together, in one snapshot."""

import asyncio
import contextlib
import re
from collections import defaultdict
from functools import lru_cache
from typing import Any, Literal

import psycopg
from psycopg import IsolationLevel, sql
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from projections.model import Position
from projections.postgres_store import CHANNEL, SCHEMA
from projections.readers import NotReadyError, Shown, Statement, covers

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_POINTER = f"SELECT generation FROM {SCHEMA}.pointers WHERE model = %s"
_POSITION = "SELECT partition, last_id FROM positions"
_GONE = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.DeadlockDetected,
)
_ATTEMPTS = 5
_PATIENCE = 2.0
"""Seconds that a read waits for a connection."""

_LONGEST_SILENCE = 0.25
"""Seconds after which one looks though nothing was notified: the listener may have been away."""


class PostgresReadModels:
    """The read models of a database, through a pool of connections."""

    engine: Literal["sqlite", "postgresql"] = "postgresql"

    def __init__(self, url: str, pool: AsyncConnectionPool[Connection]) -> None:
        self._url = url
        self._pool = pool
        self._live: dict[str, str] = {}
        self._changed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, url: str) -> "PostgresReadModels":
        """Open the pool; the database may come up later."""
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            kwargs={"autocommit": True},
            configure=_configure,
            min_size=2,
            max_size=10,
            timeout=_PATIENCE,
            open=False,
        )
        await pool.open()
        return cls(url, pool)

    async def read(self, model: str, *statements: Statement) -> Shown[list[list[tuple[Any, ...]]]]:
        """Run queries on one snapshot of a read model; the rows of each.

        Raises:
            NotReadyError: there is no live generation, or the database is away.
        """
        try:
            async with self._pool.connection() as connection:
                for _ in range(_ATTEMPTS):
                    generation = await self._generation(connection, model)
                    with contextlib.suppress(*_GONE):
                        pointed, *rows, position = await _snapshot(
                            connection, model, generation, statements
                        )
                        if pointed == [(generation,)]:
                            return Shown(rows, dict(position))
                    # A rebuild put another generation in its place under us.
                    self._live.pop(model, None)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise NotReadyError(f"{model} can't be read: {type(error).__name__}") from error
        raise NotReadyError(f"{model} is replaced again and again")

    async def _generation(self, connection: Connection, model: str) -> str:
        if model not in self._live:
            try:
                found = await (await connection.execute(_POINTER, (model,))).fetchone()
            except _GONE:
                found = None
            if found is None:
                raise NotReadyError(f"{model} is not built yet")
            self._live[model] = found[0]
        return self._live[model]

    async def wait_for(self, model: str, position: Position, within: float) -> bool:
        """Wait until a read model shows a position; false where it doesn't in that many seconds."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        while True:
            changed = self._changed[model]
            if covers(await self._position(model), position):
                return True
            left = until - loop.time()
            if left <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(left, _LONGEST_SILENCE))

    async def _position(self, model: str) -> Position:
        try:
            return (await self.read(model)).position
        except NotReadyError:
            return {}

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    async for notice in connection.notifies():
                        self._changed.pop(notice.payload, asyncio.Event()).set()
            await asyncio.sleep(_LONGEST_SILENCE)

    async def close(self) -> None:
        """Close all connections."""
        if self._listening:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        await self._pool.close()


async def _configure(connection: Connection) -> None:
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    await connection.set_read_only(True)


async def _snapshot(
    connection: Connection, model: str, generation: str, statements: tuple[Statement, ...]
) -> list[list[tuple[Any, ...]]]:
    path = sql.SQL("SET LOCAL search_path = {}, public").format(sql.Identifier(generation))
    async with connection.pipeline(), connection.transaction():
        cursors = [await connection.execute(_POINTER, (model,))]
        await connection.execute(path)
        for text, values in statements:
            cursors.append(await connection.execute(_translated(text), values))
        cursors.append(await connection.execute(_POSITION))
    return [await cursor.fetchall() for cursor in cursors]


@lru_cache(maxsize=256)
def _translated(text: str) -> str:
    text = re.sub(r"IN :(\w+)", r"= ANY(:\1)", text.replace("%", "%%"))
    return re.sub(r":(\w+)", r"%(\1)s", text)
