"""Rows into a new generation of a read model, all at once and without its indexes, on each store.

Nothing here is durable before it is whole: who is interrupted begins again.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
from psycopg import sql

from bench.populations import PARTITIONS, Rows
from device_ledger.settings import Settings
from projections.model import Folded
from projections.store import open_store

FAST: tuple[str, ...] = (
    "journal_mode = OFF",
    "synchronous = OFF",
    "cache_size = -1500000",
    "temp_store = FILE",
    "threads = 2",
)
"""Pragmas to make a SQLite file with that nobody reads yet, and that a crash may spoil."""
_LATER_SQLITE = (
    "SELECT type, name, sql FROM sqlite_master"
    " WHERE tbl_name = ? AND sql IS NOT NULL AND type IN ('index', 'trigger')"
)
_LATER_POSTGRES = (
    "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
    " WHERE indrelid = %s::regclass AND NOT indisprimary"
)


def load(settings: Settings, model: Folded, rows: Rows) -> None:
    """Make these rows a read model's live generation, on the store that the settings name."""
    store = open_store(settings)
    url = settings.read_models_url.get_secret_value()
    with store.building(model):
        name = store.create(model, PARTITIONS)
        if url:
            _into_postgres(url, name, model, rows)
        else:
            _into_sqlite(settings.home / "read-models" / model.name / f"{name}.db", model, rows)
        generation = store.open(model, name, live=False)
        with closing(generation), generation.transaction(rows.standings) as transaction:
            transaction.move(rows.standings)
            if model.counted_by:
                transaction.count(rows.counts)
        store.point(model, name)
        store.remove_others(model)


def _into_sqlite(file: Path, model: Folded, rows: Rows) -> None:
    places = ", ".join("?" * len(model.columns))
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for pragma in FAST:
            connection.execute(f"PRAGMA {pragma}")
        later = connection.execute(_LATER_SQLITE, (model.table,)).fetchall()
        for kind, name, _ in later:
            connection.execute(f"DROP {kind} {name}")
        for chunk in rows:
            connection.execute("BEGIN")
            connection.executemany(f"INSERT INTO {model.table} VALUES ({places})", chunk)
            connection.execute("END")
        for _, _, statement in later:
            connection.execute(statement)
        fts = "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'"
        for (name,) in connection.execute(fts).fetchall():
            connection.execute(f"INSERT INTO {name} ({name}) VALUES ('rebuild')")
        connection.execute("PRAGMA journal_mode = WAL")


def _into_postgres(url: str, schema: str, model: Folded, rows: Rows) -> None:
    table = sql.Identifier(model.table)
    with psycopg.connect(url, autocommit=True) as connection:
        path = sql.SQL("SET search_path = {}, public").format(sql.Identifier(schema))
        connection.execute(path)
        connection.execute("SET maintenance_work_mem = '1GB'")
        key = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
            table, sql.Identifier(f"{model.table}_pkey")
        )
        connection.execute(key)
        later = connection.execute(_LATER_POSTGRES, (model.table,)).fetchall()
        for name, _ in later:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(*name.split("."))))
        copying = sql.SQL("COPY {} FROM STDIN").format(table)
        with connection.cursor() as cursor, cursor.copy(copying) as copy:
            for chunk in rows:
                for row in chunk:
                    copy.write_row(row)
        primary = sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})")
        connection.execute(primary.format(table, sql.Identifier(model.key)))
        for _, statement in later:
            connection.execute(statement.encode())
        connection.execute(sql.SQL("VACUUM ANALYZE {}").format(table))
