"""Reading PostgreSQL read models: all queries of a read go out together, in one snapshot."""

import asyncio
import contextlib
import re
from collections import defaultdict
from functools import lru_cache
from typing import Any, Literal

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from device_ledger.postgres import RECONNECT_SECONDS, conninfo
from projections.model import Position
from projections.postgres_store import CHANNEL, SCHEMA
from projections.readers import NotReadyError, Shown, Statement, covers

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

_POINTER = f"SELECT generation FROM {SCHEMA}.pointers WHERE model = %s"
_STANDING = (
    "SELECT generation, partition, last_id FROM positions"
    f" CROSS JOIN {SCHEMA}.pointers WHERE model = :model"
)
_SESSION = "-c default_transaction_isolation=repeatable\\ read -c default_transaction_read_only=on"
_GONE = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
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
            conninfo(url),
            kwargs={"autocommit": True, "options": _SESSION},
            min_size=2,
            max_size=10,
            timeout=_PATIENCE,
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
        )
        await pool.open()
        return cls(conninfo(url), pool)

    async def read(
        self,
        model: str,
        *statements: Statement,
        slow: bool = False,  # noqa: ARG002 - it runs in the server
    ) -> Shown[list[list[tuple[Any, ...]]]]:
        """Run queries on one snapshot of a read model; the rows of each.

        Raises:
            NotReadyError: there is no live generation, or the database is away.
        """
        try:
            try:
                return await self._read(model, statements)
            except psycopg.OperationalError as error:
                if isinstance(error, PoolTimeout):
                    raise
                # After a restart of the server all that the pool holds is broken.
                await self._pool.check()
                return await self._read(model, statements)
        except psycopg.OperationalError as error:
            raise NotReadyError(f"{model} can't be read: {type(error).__name__}") from error

    async def _read(
        self, model: str, statements: tuple[Statement, ...]
    ) -> Shown[list[list[tuple[Any, ...]]]]:
        async with self._pool.connection() as connection:
            for _ in range(_ATTEMPTS):
                generation = await self._generation(connection, model)
                with contextlib.suppress(*_GONE):
                    pointed, position, rows = await _snapshot(
                        connection, model, generation, statements
                    )
                    if pointed == generation:
                        return Shown(rows, position)
                # A rebuild put another generation in its place under us.
                self._live.pop(model, None)
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


async def _snapshot(
    connection: Connection, model: str, generation: str, statements: tuple[Statement, ...]
) -> tuple[str | None, Position, list[list[tuple[Any, ...]]]]:
    """What the pointer names, the position, and the rows of each query."""
    # What goes out in one pipeline is one transaction, and so (see `_SESSION`) one snapshot.
    async with connection.pipeline():
        standing = await connection.execute(_translated(_STANDING, generation), {"model": model})
        cursors = [
            await connection.execute(_translated(text, generation), values)
            for text, values in statements
        ]
    found = await standing.fetchall()
    position = {partition: last_id for _, partition, last_id in found}
    return found[0][0] if found else None, position, [await c.fetchall() for c in cursors]


@lru_cache(maxsize=256)
def _translated(text: str, generation: str) -> str:
    text = re.sub(r"\bIN :(\w+)", r"= ANY(:\1)", text.replace("%", "%%"))
    text = re.sub(r"\bFROM (\w+)(?=\s|\)|$)", rf"FROM {generation}.\1", text)
    return re.sub(r":(\w+)", r"%(\1)s", text)
