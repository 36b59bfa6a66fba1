"""What a read model is: a table, and a function that says what an event makes of its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args, get_type_hints

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

    def fits(self, row: Any) -> bool:
        """Whether every database can take a row: each value is of its column's type, texts have no
        NUL, numbers 64 bits."""
        return all(map(_fits, row, self._types))

    @cached_property
    def _types(self) -> tuple[tuple[type[Any], ...], ...]:
        hints = get_type_hints(self.row)
        return tuple(get_args(hints[name]) or (hints[name],) for name in self.columns)

    def schema(self, engine: str) -> str:
        """The SQL that makes the tables on ``sqlite`` or ``postgresql``."""
        parts = [self.folder / "schema.sql", self.folder / f"schema.{engine}.sql"]
        return "\n".join(part.read_text() for part in parts if part.exists())

    def fingerprint(self, engine: str) -> str:
        """Eight hex digits that change with the tables: a generation of others is of no use."""
        return sha256(self.schema(engine).encode()).hexdigest()[:8]


def _fits(value: Any, types: tuple[type[Any], ...]) -> bool:
    if type(value) not in types:
        return False
    if isinstance(value, str):
        return "\0" not in value
    return not isinstance(value, int) or value.bit_length() < 64


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
