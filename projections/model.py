"""What a read model is: a table, and a function that says what an event makes of its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from device_ledger.wire.events import PublicEvent
from device_ledger.wire.topics import EVENTS
from projections.guard import KafkaRecord, Parse, parse

Position = dict[int, int]
"""For each partition the id of the last event that was applied (0: none)."""


@dataclass(frozen=True, kw_only=True)
class ReadModel:
    """A table that is made from a topic: a :class:`Folded` or an :class:`Appended` one.

    ``row`` is a ``NamedTuple`` class whose fields are the table's columns, its key first;
    ``folder`` holds the table's SQL; ``parse`` reads a Kafka record of ``topic``.
    """

    name: str
    table: str
    row: type[Any]
    folder: Path
    topic: str = EVENTS
    parse: Parse = parse

    @property
    def chained(self) -> bool:
        """Whether each record names the one before it; else its offset is all there is."""
        return self.topic == EVENTS

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


@dataclass(frozen=True, kw_only=True)
class Folded(ReadModel):
    """A table that events are folded into.

    ``key_of`` names the row that an event touches (``None``: no row); ``apply`` gives that row
    after the event, or ``None`` for no row, and looks at nothing else. ``counted_by`` is the
    column whose values are counted in the table ``counts``, for each partition by itself.
    """

    key_of: Callable[[PublicEvent], str | None]
    apply: Callable[[Any, PublicEvent], Any]
    counted_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Appended(ReadModel):
    """A table that rows are only ever added to.

    ``rows_of`` gives the rows of a record, as it came and as it was read; one whose key is there
    already changes nothing.
    """

    rows_of: Callable[[KafkaRecord, PublicEvent], Sequence[Any]]
