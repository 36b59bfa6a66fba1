"""Read models on PostgreSQL: a schema for each generation, and a row that names the live one.

Any number of workers write, each its own partitions: position rows are locked while they move.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import psycopg
from psycopg import sql

from device_ledger.postgres import conninfo
from projections.guard import Standing
from projections.model import ReadModel
from projections.postgres_rows import insert
from projections.store import Generation, GenerationGoneError, StoreInUseError

SCHEMA = "read_models"
CHANNEL = "read_models"
"""NOTIFY goes here after every transaction; its payload is the read model's name."""

_SETUP = f"""
SELECT pg_advisory_xact_lock(hashtext('{SCHEMA}'));
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.pointers (model TEXT PRIMARY KEY, generation TEXT NOT NULL);
"""

_POSITIONS = """
CREATE TABLE positions (
    partition BIGINT PRIMARY KEY,
    last_id BIGINT NOT NULL,
    last_offset BIGINT NOT NULL,
    next_offset BIGINT NOT NULL,
    source TEXT NOT NULL
);
"""

_LIVE = f"SELECT generation FROM {SCHEMA}.pointers WHERE model = %s"

_PATIENCE = 0.1
"""Seconds; far below PostgreSQL's `deadlock_timeout`, so that readers are never its victims."""

Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresTransaction:
    """A generation under change; the position rows of its partitions are locked."""

    def __init__(
        self, connection: Connection, model: ReadModel, partitions: Collection[int]
    ) -> None:
        self._connection = connection
        self._model = model
        rows = connection.execute(
            "SELECT partition, last_id, last_offset, next_offset, source FROM positions"
            " WHERE partition = ANY(%s) ORDER BY partition FOR UPDATE",
            (list(partitions),),
        )
        self.standings = {partition: Standing(*rest) for partition, *rest in rows}
        """Where the generation stands in those partitions."""

    def load(self, keys: Collection[str]) -> dict[str, Any]:
        """The rows that there are of these keys."""
        model = self._model
        rows = self._connection.execute(
            f"SELECT {', '.join(model.columns)} FROM {model.table} WHERE {model.key} = ANY(%s)",
            (list(keys),),
        )
        return {row[0]: model.row(*row) for row in rows}

    def save(self, rows: Sequence[Any]) -> None:
        """Write rows, new or not."""
        changes = ", ".join(f"{column} = excluded.{column}" for column in self._model.columns[1:])
        insert(self._connection, self._model, rows, f"DO UPDATE SET {changes}")

    def append(self, rows: Sequence[Any]) -> None:
        """Write the rows whose key is not there yet; the others stay as they are."""
        insert(self._connection, self._model, rows, "DO NOTHING")

    def remove(self, keys: Collection[str]) -> None:
        """Remove rows."""
        if keys:
            self._connection.execute(
                f"DELETE FROM {self._model.table} WHERE {self._model.key} = ANY(%s)",
                (list(keys),),
            )

    def count(self, deltas: Mapping[tuple[str, int], int]) -> None:
        """Add to the counts of (value, partition)."""
        if deltas:
            values, partitions = zip(*deltas, strict=True)
            self._connection.execute(
                "INSERT INTO counts (value, partition, total)"
                " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[])"
                " ON CONFLICT (value, partition)"
                " DO UPDATE SET total = counts.total + excluded.total",
                (list(values), list(partitions), list(deltas.values())),
            )

    def move(self, standings: Mapping[int, Standing]) -> None:
        """Set where the read model stands, and wake who waits for it."""
        self._connection.execute(
            "UPDATE positions AS p SET last_id = n.last_id, last_offset = n.last_offset,"
            " next_offset = n.next_offset, source = n.source"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[])"
            " AS n (partition, last_id, last_offset, next_offset, source)"
            " WHERE p.partition = n.partition",
            (
                list(standings),
                [at.last_id for at in standings.values()],
                [at.last_offset for at in standings.values()],
                [at.next_offset for at in standings.values()],
                [at.source for at in standings.values()],
            ),
        )
        self._connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, self._model.name))


class PostgresGeneration:
    """An open generation, on a connection of its own."""

    def __init__(self, url: str, generation: str, model: ReadModel, *, live: bool) -> None:
        self.name = generation
        self._model = model
        self._live = live
        self._connection = psycopg.connect(url, autocommit=True)
        path = sql.SQL("SET search_path = {}, public").format(sql.Identifier(generation))
        self._connection.execute(path)
        if not live:
            # The pointer's own commit waits for all that was logged before it.
            self._connection.execute("SET synchronous_commit = off")

    @contextmanager
    def transaction(self, partitions: Collection[int]) -> Iterator[PostgresTransaction]:
        """Change rows and positions of these partitions, all or nothing.

        Raises:
            GenerationGoneError: it was replaced or dropped; nothing is changed.
        """
        with self._still_there(), self._connection.transaction():
            transaction = PostgresTransaction(self._connection, self._model, partitions)
            # Read after the lock is ours: a swap moves the pointer under the same lock.
            if self._live and _live(self._connection, self._model) != self.name:
                raise GenerationGoneError(self.name)
            yield transaction

    def standings(self) -> dict[int, Standing]:
        """Where it stands, by partition."""
        with self._still_there():
            rows = self._connection.execute(
                "SELECT partition, last_id, last_offset, next_offset, source FROM positions"
            )
            return {partition: Standing(*rest) for partition, *rest in rows}

    @contextmanager
    def _still_there(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.UndefinedTable:
            raise GenerationGoneError(self.name) from None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class PostgresStore:
    """Read models in a database, for any number of workers."""

    retriable: tuple[type[Exception], ...] = (psycopg.OperationalError, psycopg.InterfaceError)

    def __init__(self, url: str) -> None:
        self._url = conninfo(url)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with psycopg.connect(self._url) as connection:
            yield connection

    def live(self, model: ReadModel) -> str | None:
        """The name of the live generation, where there is one and its tables are there."""
        with self._connected() as connection:
            name = _pointed(connection, model)
        return name if name and name.endswith(model.fingerprint("postgresql")) else None

    def create(self, model: ReadModel, partitions: int) -> str:
        """Make an empty generation beside the others; its name."""
        name = f"{model.name}_g{time.time_ns():x}_{model.fingerprint('postgresql')}"
        with self._connected() as connection:
            connection.execute(f"CREATE SCHEMA {name}")
            connection.execute(f"SET LOCAL search_path = {name}, public")
            connection.execute(_POSITIONS + _by_bytes(model.schema("postgresql")))
            connection.execute(
                "INSERT INTO positions SELECT p, 0, -1, 0, '' FROM generate_series(0, %s - 1) AS p",
                (partitions,),
            )
        return name

    def open(self, model: ReadModel, generation: str, *, live: bool) -> Generation:
        """Open a generation; as the live one, each transaction makes sure that it still is."""
        return PostgresGeneration(self._url, generation, model, live=live)

    def point(self, model: ReadModel, generation: str | None) -> None:
        """Make a generation the live one, at once for all readers; ``None``: there is none."""
        with self._connected() as connection:
            if generation is None:
                connection.execute(f"DELETE FROM {SCHEMA}.pointers WHERE model = %s", (model.name,))
            else:
                connection.execute(
                    f"INSERT INTO {SCHEMA}.pointers VALUES (%s, %s)"
                    " ON CONFLICT (model) DO UPDATE SET generation = excluded.generation",
                    (model.name, generation),
                )
            connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, model.name))

    def remove_others(self, model: ReadModel) -> None:
        """Remove what interrupted rebuilds left: all generations but the one pointed to."""
        with self._connected() as connection:
            kept = _pointed(connection, model)
            found = connection.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname ~ %s",
                (f"^{model.name}_g[0-9a-f]+_[0-9a-f]+$",),
            ).fetchall()
        for (name,) in found:
            while name != kept and not self._dropped(name):
                time.sleep(_PATIENCE)

    def _dropped(self, name: str) -> bool:
        """Drop a schema unless its readers hold it: they must never wait for it in a circle."""
        with self._connected() as connection:
            connection.execute(f"SET LOCAL lock_timeout = '{_PATIENCE * 1000:.0f}ms'")
            try:
                connection.execute(f"DROP SCHEMA {name} CASCADE")
            except psycopg.errors.LockNotAvailable:
                connection.rollback()
                return False
        return True

    @contextmanager
    def building(self, model: ReadModel) -> Iterator[None]:
        """Hold the right to make generations of a read model, as long as the connection lasts."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            key = f"{SCHEMA}.{model.name}"
            if connection.execute(
                "SELECT pg_try_advisory_lock(hashtext(%s))", (key,)
            ).fetchone() == (False,):
                raise StoreInUseError(f"{model.name} is being rebuilt already")
            with connection.transaction():
                connection.execute(_SETUP)
            try:
                yield
            finally:
                # By itself the server takes it back some time after the connection has ended.
                with suppress(psycopg.Error):
                    connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", (key,))

    def writing(self) -> nullcontext[None]:
        """Nothing to hold: workers may be many."""
        return nullcontext()


def _live(connection: Connection, model: ReadModel) -> str | None:
    row = connection.execute(_LIVE, (model.name,)).fetchone()
    return row[0] if row else None


def _pointed(connection: Connection, model: ReadModel) -> str | None:
    """The generation that the pointer names, where its tables are there."""
    if not _exists(connection, f"{SCHEMA}.pointers"):
        return None
    name = _live(connection, model)
    return name if name and _exists(connection, f"{name}.positions") else None


def _exists(connection: Connection, table: str) -> bool:
    return connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() != (None,)


def _by_bytes(schema: str) -> str:
    """Text that compares by its bytes, as on SQLite, whatever the database's language is."""
    return schema.replace(" TEXT", ' TEXT COLLATE "C"')
