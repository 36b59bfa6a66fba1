"""Tries a plan on an empty trail, so that what the engine can't do is told when a rule is read."""

from datetime import UTC, datetime, timedelta
from typing import Final

import duckdb

from device_ledger.wire.trail import Entry
from projections.detection.columns import NUMBERS, TIME
from projections.detection.plan import Matching, Windowed
from projections.detection.run import Run

_NOW = datetime(2026, 1, 31, tzinfo=UTC)


class EngineError(ValueError):
    """The engine refuses a rule, such as a regular expression that it doesn't know."""


KINDS: Final = {
    name: "TIMESTAMP" if name == TIME else "BIGINT" if name in NUMBERS else "VARCHAR"
    for name in Entry._fields
}
"""The types of the columns of ``trail``, in their order."""


def columns() -> str:
    """The columns of ``trail``, as a ``CREATE TABLE`` names them."""
    return ", ".join(f'"{name}" {kind}' for name, kind in KINDS.items())


def try_out(plan: Matching | Windowed) -> None:
    """Evaluate it both ways, over a moment and over a day.

    Raises:
        EngineError: the engine refuses it.
    """
    with duckdb.connect(config={"threads": 1, "memory_limit": "64MB"}) as connection:
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        connection.execute(f"CREATE TABLE trail ({columns()})")
        try:
            for back in (timedelta(seconds=1), timedelta(days=1)):
                Run(connection).alerts(plan, _NOW - back, _NOW)
        except duckdb.Error as error:
            raise EngineError(str(error)) from None
