"""Runs a plan on a DuckDB: its alerts in a range of time, and their evidence."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import duckdb

from device_ledger.wire.alerts import EVIDENCE_MAX
from projections.detection.counting import EachEntry
from projections.detection.plan import Matching, OfAlerts, OfTrail, Windowed
from projections.detection.sql import CARRIED, NOTHING, Groups, Scan, carried, floor_of, of_alert

TICK: Final = timedelta(minutes=1)
"""A range up to this long is a live one: it is worth asking first whom it touches."""
ALERTS_MAX: Final = 100_000
"""Alerts that one evaluation gives at most."""
NAMED_MAX: Final = 500
"""Groups up to this many are looked up by name."""


class TooManyAlertsError(duckdb.Error):
    """A rule gives more alerts in a range than anybody reads: it is too wide."""


def _each(matching: Matching) -> Windowed:
    # Each entry is a group of its own, so that it is its own evidence.
    return Windowed((OfTrail(matching, ("ref",)),), ("ref",), 0, EachEntry())


@dataclass(frozen=True)
class _Found:
    """Alerts of a node in a table, and those that it took from other nodes."""

    node: Windowed
    table: str
    count: int
    children: dict[int, "_Found"] = field(default_factory=dict)


class Run:
    """One evaluation, and its temporary tables."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        tick: timedelta = TICK,
        named_max: int = NAMED_MAX,
    ) -> None:
        self._connection = connection
        self._tick = tick
        self._named_max = named_max
        self._tables: list[str] = []

    def alerts(
        self, plan: Matching | Windowed, after: datetime, through: datetime
    ) -> list[tuple[Any, ...]]:
        """The plan's alerts with ``after < at <= through`` in their order: time (milliseconds
        since the epoch), ``seq``, ``ref``, the groups, and of the evidence its size, first time,
        newest references in order, and the fields of ``CARRIED``.

        Raises:
            TooManyAlertsError: there are more than ``ALERTS_MAX``.
            duckdb.Error: the relation can't be read, or memory or spill space does not suffice.
        """
        node = plan if isinstance(plan, Windowed) else _each(plan)
        try:
            return self._told(self._found(node, after, through))
        finally:
            self._clear()

    def _clear(self) -> None:
        for table in self._tables:
            # A connection that was closed or interrupted has dropped them itself.
            with suppress(duckdb.Error):
                self._connection.execute(f"DROP TABLE IF EXISTS {table}")

    def _found(
        self,
        node: Windowed,
        after: datetime,
        through: datetime,
        *,
        extra: tuple[str, ...] = (),
        groups: Groups | None = None,
    ) -> _Found:
        """A table of the node's alerts in the range, each with the ``extra`` fields."""
        if groups is None and through - after <= self._tick:
            groups = self._touched(node, after, through)
        start = after - timedelta(milliseconds=node.reach)
        children = self._children(node, start, through, extra, groups)
        scan = Scan(node, start, through, _tables(children), extra, groups)
        table = self._table(
            f"SELECT row_number() OVER () AS id, * FROM ({scan.alerts_found()}) "
            f"WHERE t > {floor_of(after)}"
        )
        return _Found(node, table, self._one(f"SELECT count(*) FROM {table}"), children)

    def _children(
        self,
        node: Windowed,
        after: datetime,
        through: datetime,
        extra: tuple[str, ...],
        groups: Groups | None,
    ) -> dict[int, _Found]:
        found = {}
        for index, source in enumerate(node.sources):
            if isinstance(source, OfAlerts):
                found[index] = self._found(
                    source.node,
                    after,
                    through,
                    extra=carried(source, extra),
                    groups=_pushed(source, groups),
                )
        return found

    def _touched(self, node: Windowed, after: datetime, through: datetime) -> Groups | None:
        """The groups that have an entry in the range; None where they are too many to name."""
        children = self._children(node, after, through, (), None)
        names = [f"g{place}" for place in range(len(node.groups))]
        rows = Scan(node, after, through, _tables(children)).rows()
        found = self._rows(
            f"SELECT DISTINCT {', '.join(names) or '1'} FROM ({rows}) LIMIT {self._named_max + 1}"
        )
        if not found:
            return NOTHING
        if len(found) > self._named_max or not names:
            return None
        return {place: sorted({row[place] for row in found}) for place in range(len(names))}

    def _told(self, found: _Found) -> list[Any]:
        """The alerts in their order, each with what its evidence says."""
        if not found.count:
            return []
        if found.count > ALERTS_MAX:
            raise TooManyAlertsError(f"{found.count} alerts, {ALERTS_MAX} at once are the most")
        alike = ", ".join(
            f"CASE WHEN count(e.c_{name}) = count(*) AND min(e.c_{name}) = max(e.c_{name}) "
            f"THEN min(e.c_{name}) END"
            for name in CARRIED
        )
        of_each = ", ".join(f"a.{key}" for key in ["t", "seq", "ref", *_groups(found.node)])
        # A window function spills where a list of the newest of each group would not.
        numbered = (
            "SELECT *, row_number() OVER (PARTITION BY id ORDER BY t DESC, seq DESC, ref DESC) "
            f"AS n FROM ({self._evidence(found)})"
        )
        return self._rows(
            f"SELECT {of_each}, count(*), min(e.t), "
            f"list(e.ref ORDER BY e.n DESC) FILTER (e.n <= {EVIDENCE_MAX}), {alike} "
            f"FROM {found.table} a JOIN ({numbered}) e ON e.id = a.id "
            f"GROUP BY {of_each} ORDER BY {of_each}"
        )

    def _evidence(self, found: _Found) -> str:
        """A query of the entries that are the evidence of each alert."""
        node = found.node
        together = [f"x.{name} = a.{name}" for name in _groups(node)]
        together += ["x.t > a.since", "x.t <= a.t", f"NOT ({_AFTER})"]
        fields = ", ".join(f"c_{name}" for name in CARRIED)
        parts = []
        own = tuple(source for source in node.sources if isinstance(source, OfTrail))
        if own and found.count:
            parts.append(
                f"SELECT a.id, x.t, x.seq, x.ref, {fields} FROM {found.table} a "
                f"JOIN ({self._own_entries(found, own)}) x ON {' AND '.join(together)}"
            )
        for index, child in found.children.items():
            if not child.count:
                continue
            columns = node.sources[index].columns
            keys = "".join(
                f", {of_alert(child.node, name)} AS g{place}" for place, name in enumerate(columns)
            )
            parts.append(
                f"SELECT a.id, e.t, e.seq, e.ref, {fields} FROM {found.table} a "
                f"JOIN (SELECT id AS child, t, seq, ref{keys} FROM {child.table}) x "
                f"ON {' AND '.join(together)} "
                f"JOIN ({self._evidence(child)}) e ON e.id = x.child"
            )
        return " UNION ".join(parts)

    def _own_entries(self, found: _Found, own: tuple[OfTrail, ...]) -> str:
        [(first, last)] = self._rows(f"SELECT min(since), max(t) FROM {found.table}")
        node = replace(found.node, sources=own)
        groups: Groups | None = None
        if found.count <= self._named_max and node.groups:
            named = self._rows(f"SELECT {', '.join(_groups(node))} FROM {found.table}")
            groups = {
                place: sorted({row[place] for row in named}) for place in range(len(node.groups))
            }
        return Scan(node, _datetime(first), _datetime(last), {}, CARRIED, groups).rows()

    def _table(self, query: str) -> str:
        table = f"alerts_{len(self._tables)}"
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {query}")
        self._tables.append(table)
        return table

    def _rows(self, query: str) -> list[Any]:
        return self._connection.execute(query).fetchall()

    def _one(self, query: str) -> int:
        [(value,)] = self._rows(query)
        return int(value)


_AFTER: Final = "x.t = a.t AND (x.seq > a.seq OR (x.seq = a.seq AND x.ref > a.ref))"
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _pushed(source: OfAlerts, groups: Groups | None) -> Groups | None:
    """The groups of interest in terms of the node whose alerts a source takes."""
    if groups is None or groups is NOTHING:
        return groups
    child = source.node
    known = {
        child.groups.index(source.columns[place]): values
        for place, values in groups.items()
        if source.columns[place] in child.groups
    }
    return known or None


def _tables(children: dict[int, _Found]) -> dict[int, str]:
    return {index: child.table for index, child in children.items()}


def _groups(node: Windowed) -> list[str]:
    return [f"g{place}" for place in range(len(node.groups))]


def _datetime(milliseconds: int) -> datetime:
    return _LONG_AGO + timedelta(milliseconds=milliseconds)


def text_of(milliseconds: int) -> str:
    """Milliseconds since the epoch as the trail writes a time."""
    return f"{_datetime(milliseconds):%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"
