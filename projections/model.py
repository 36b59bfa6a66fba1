"""What a read model is: a table, and a function that says what an event makes of a row."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from device_ledger.wire.events import PublicEvent

Position = dict[int, int]
"""For each partition the id of the last event that was applied (0: none)."""


@dataclass(frozen=True)
class ReadModel:
    """A table that events are folded into.

    ``row`` is a ``NamedTuple`` class whose fields are the table's columns, its key first;
    ``key_of`` names the row that an event touches (``None``: no row); ``apply`` gives that row
    after the event, or ``None`` for no row, and looks at nothing else. ``counted_by`` is the
    column whose values are counted in the table ``counts``, for each partition by itself.
    """

    name: str
    table: str
    row: type[Any]
    key_of: Callable[[PublicEvent], str | None]
    apply: Callable[[Any, PublicEvent], Any]
    folder: Path
    counted_by: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns, the key first."""
        return tuple(self.row._fields)

    @property
    def key(self) -> str:
        """The column that tells rows apart."""
        return self.columns[0]

    def schema(self, engine: str) -> str:
        """The SQL that makes the tables on ``sqlite`` or ``postgresql``."""
        parts = [self.folder / "schema.sql", self.folder / f"schema.{engine}.sql"]
        return "\n".join(part.read_text() for part in parts if part.exists())

    def fingerprint(self, engine: str) -> str:
        """Eight hex digits that change with the tables: a generation of others is of no use."""
        return sha256(self.schema(engine).encode()).hexdigest()[:8]
