"""The SQL of one node over ``trail``.

A scan gives a node's entries of a time, with the columns that :class:`~projections.detection.plan.
Test` names. Over a long time most groups can't alert: a gate leaves them out by one aggregation
over hashes of the groups (two groups with one hash are both kept, which costs a little and changes
nothing). For a short time the groups are known, and the scan reads only those.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from projections.detection.columns import TIME, as_text, column, literal, moment
from projections.detection.plan import OfAlerts, OfTrail, Windowed

CARRIED: Final = ("bank_id", "device_token", "customer_id", "merchant_id")
"""Fields that an alert has where all of its evidence has them alike."""

_AT: Final = column(TIME)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Groups = Mapping[int, Sequence[str]]
"""By the place of a group's column: the values that are of interest."""

NOTHING: Final[Groups] = {0: ()}
"""No group is of interest."""


@dataclass(frozen=True)
class Scan:
    """The entries of ``node`` after ``after`` through ``through``, with the ``extra`` columns.

    ``alerts`` names the table with the alerts of each source that is a node; ``groups``, where
    given, the only ones of interest.
    """

    node: Windowed
    after: datetime
    through: datetime
    alerts: Mapping[int, str]
    extra: tuple[str, ...] = ()
    groups: Groups | None = None

    def rows(self) -> str:
        """The query. An entry that comes from several sources is one row."""
        by_shape: dict[tuple[tuple[str, ...], tuple[str, ...]], dict[int, OfTrail]] = {}
        queries = []
        for index, source in enumerate(self.node.sources):
            if isinstance(source, OfTrail):
                by_shape.setdefault((source.columns, source.values), {})[index] = source
            else:
                queries.append(self._of_alerts(index, source))
        queries += [self._of_trail(sources) for sources in by_shape.values()]
        return queries[0] if len(queries) == 1 else self._merged(queries)

    def _of_trail(self, sources: Mapping[int, OfTrail]) -> str:
        source = next(iter(sources.values()))
        wanted = {index: one.matching.predicate for index, one in sources.items()}
        names = [as_text(name) for name in source.columns]
        groups = [f"{name} AS g{place}" for place, name in enumerate(names)]
        picked = [
            f"{_AT} > {moment(self.after)}",
            f"{_AT} <= {moment(self.through)}",
            f"({' OR '.join(wanted.values())})",
            *(f"{name} IS NOT NULL" for name in names),
            *self._only(names),
        ]
        values = [as_text(name) for name in source.values]
        columns = [
            f"epoch_ms({_AT}) AS t",
            "seq",
            "ref",
            *groups,
            f"{_value(values)} AS v",
            *self._flags(wanted),
            *(f"{column(name)} AS c_{name}" for name in self.extra),
        ]
        return f"SELECT {', '.join(columns)} FROM trail WHERE {' AND '.join(picked)}"

    def _of_alerts(self, index: int, source: OfAlerts) -> str:
        child = source.node
        groups = [of_alert(child, name) for name in source.columns]
        values = [of_alert(child, name) for name in source.values]
        picked = [
            f"t > {floor_of(self.after)}",
            f"t <= {floor_of(self.through)}",
            *(f"{name} IS NOT NULL" for name in groups),
            *self._only(groups),
        ]
        columns = [
            "t",
            "seq",
            "ref",
            *(f"{name} AS g{place}" for place, name in enumerate(groups)),
            f"{_value(values)} AS v",
            *self._flags({index: "TRUE"}),
            *(f"{of_alert(child, name)} AS c_{name}" for name in self.extra),
        ]
        return f"SELECT {', '.join(columns)} FROM {self.alerts[index]} WHERE {' AND '.join(picked)}"

    def _merged(self, queries: Sequence[str]) -> str:
        keys = ", ".join(["t", "seq", "ref", *self._group_names()])
        rest = [
            "min(v) AS v",
            *(f"bool_or(s{index}) AS s{index}" for index in range(len(self.node.sources))),
            *(f"any_value(c_{name}) AS c_{name}" for name in self.extra),
        ]
        union = " UNION ALL ".join(queries)
        return f"SELECT {keys}, {', '.join(rest)} FROM ({union}) GROUP BY {keys}"

    def _only(self, names: Sequence[str]) -> list[str]:
        return [
            f"{names[place]} IN ({', '.join(map(literal, values))})" if values else "FALSE"
            for place, values in (self.groups or {}).items()
        ]

    def _flags(self, wanted: Mapping[int, str]) -> list[str]:
        places = range(len(self.node.sources))
        flags = [f"coalesce({wanted.get(place, 'FALSE')}, FALSE)" for place in places]
        return [f"{flag} AS s{place}" for place, flag in enumerate(flags)]

    def _group_names(self) -> list[str]:
        return [f"g{place}" for place in range(len(self.node.groups))]

    def gated(self) -> str:
        """The query, without the entries of groups that can't alert."""
        start = self.after + timedelta(milliseconds=self.node.reach)
        gate = self.node.test.gate(self.node, floor_of(start), floor_of(self.through))
        names = self._group_names()
        if gate is None or not names or self.groups is not None:
            return self.rows()
        hashed = f"hash({', '.join(names)})"
        if (gate.least + 1) // 2 < 2:
            return (
                f"WITH rows AS NOT MATERIALIZED ({self.rows()}), "
                f"hot AS MATERIALIZED (SELECT {hashed} AS h FROM rows GROUP BY h "
                f"HAVING {gate.having}) "
                f"SELECT * FROM rows WHERE {hashed} IN (SELECT h FROM hot)"
            )
        return self._gated_by_time(hashed, gate.least)

    def _gated_by_time(self, hashed: str, least: int) -> str:
        # A window lies in two neighbouring buckets of its length, and one of them holds half of
        # what it takes: so where the test is true, all that decides lies beside such a bucket.
        bucket = f"t // {self.node.span}"
        return (
            f"WITH rows AS NOT MATERIALIZED ({self.rows()}), "
            f"hot AS (SELECT {hashed} AS h, {bucket} AS b FROM rows GROUP BY h, b "
            f"HAVING count(*) >= {(least + 1) // 2}), "
            f"near AS MATERIALIZED (SELECT DISTINCT h, b + d AS b FROM hot, "
            f"(VALUES (-1), (0), (1)) AS buckets(d)) "
            f"SELECT * FROM rows WHERE ({hashed}, {bucket}) IN (SELECT (h, b) FROM near)"
        )

    def alerts_found(self) -> str:
        """The alerts after the node's reach: where the test is true, and with an edge was not."""
        node = self.node
        marked = node.test.marked(self.gated(), node)
        over = f"({node.order})"
        if node.test.edge:
            marked = (
                f"SELECT *, coalesce(lag(holds) OVER {over} "
                f"AND lag(t) OVER {over} > t - {node.span}, FALSE) AS held FROM ({marked})"
            )
        columns = ["t", "seq", "ref", "since", *self._group_names()]
        columns += [f"c_{name}" for name in self.extra]
        edge = " AND NOT held" if node.test.edge else ""
        return f"SELECT {', '.join(columns)} FROM ({marked}) WHERE holds{edge}"


def floor_of(at: datetime) -> int:
    """A moment as milliseconds since the epoch, rounded down."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def carried(source: OfAlerts, extra: Sequence[str]) -> tuple[str, ...]:
    """The fields that the alerts of a node must keep for the node that takes them."""
    return tuple(sorted({*source.columns, *source.values, *extra} - set(source.node.groups)))


def of_alert(child: Windowed, name: str) -> str:
    """A field of a node's alerts, as their table has it."""
    if name in child.groups:
        return f"g{child.groups.index(name)}"
    return f"CAST(c_{name} AS VARCHAR)"


def _value(values: Sequence[str]) -> str:
    if not values:
        return "CAST(NULL AS VARCHAR)"
    if len(values) == 1:
        return values[0]
    # Each part with its length, so that no two rows of values are told alike.
    return "||".join(f"(CAST(length({one}) AS VARCHAR) || ':' || {one})" for one in values)
