"""Writing many rows into a table on PostgreSQL at once."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, get_args, get_type_hints

import psycopg

from projections.model import ReadModel

_MANY: Final = 500
"""Rows from which a table for COPY is worth its making."""


def insert(
    connection: psycopg.Connection[tuple[Any, ...]],
    model: ReadModel,
    rows: Sequence[Any],
    where_there: str,
) -> None:
    """Insert rows; ``where_there`` says what becomes of one whose key is there (``DO …``)."""
    if not rows:
        return
    conflict = f" ON CONFLICT ({model.key}) {where_there}"
    if len(rows) < _MANY:
        columns = [list(column) for column in zip(*rows, strict=True)]
        connection.execute(_insertion(model) + conflict, columns)
    else:
        _copy(connection, model, rows, conflict)


def _copy(
    connection: psycopg.Connection[tuple[Any, ...]],
    model: ReadModel,
    rows: Sequence[Any],
    conflict: str,
) -> None:
    """By way of a table that COPY fills: arrays of texts cost the client more than all else."""
    columns = ", ".join(model.columns)
    connection.execute(f"CREATE TEMPORARY TABLE copied (LIKE {model.table})")
    with connection.cursor() as cursor, cursor.copy(f"COPY copied ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    connection.execute(
        f"INSERT INTO {model.table} ({columns}) SELECT {columns} FROM copied" + conflict
    )
    connection.execute("DROP TABLE copied")


@lru_cache
def _insertion(model: ReadModel) -> str:
    hints = get_type_hints(model.row)
    arrays = ", ".join(
        "%s::bigint[]" if int in {hints[column], *get_args(hints[column])} else "%s::text[]"
        for column in model.columns
    )
    return f"INSERT INTO {model.table} ({', '.join(model.columns)}) SELECT * FROM unnest({arrays})"
