"""The tests that Sigma has no words for: what an entry is against its group's history."""

from dataclasses import dataclass
from typing import ClassVar, Final

from projections.detection.columns import literal
from projections.detection.plan import Gate, Windowed

_EARTH_DIAMETER_KM: Final = 12742.0176
"""Twice the mean radius of 6371.0088 km (IUGG)."""
_HOUR: Final = 3_600_000.0


@dataclass(frozen=True)
class FirstSeen:
    """The value was not in the window before, which is no short history: it has at least ``known``
    entries, the first at least ``settled`` milliseconds ago."""

    known: int
    settled: int
    edge: ClassVar[bool] = False

    def marked(self, rows: str, node: Windowed) -> str:
        """By the last entry of the value, and the entry that is so many places before."""
        parts = ", ".join([*(f"g{index}" for index in range(len(node.groups))), "v"])
        new = (
            f"coalesce(lag(t) OVER (PARTITION BY {parts} ORDER BY t, seq, ref) "
            f"<= t - {node.span}, TRUE)"
        )
        known = f"coalesce(lag(t, {self.known}) OVER ({node.order}) > t - {node.span}, FALSE)"
        old = (
            f"count(*) OVER ({node.partition} ORDER BY t RANGE BETWEEN {node.span - 1} PRECEDING "
            f"AND {self.settled} PRECEDING) > 0"
        )
        return (
            f"SELECT *, {new} AND {known} AND {old} AS holds, t - {node.span} AS since "
            f"FROM ({rows})"
        )

    def gate(self, _: Windowed, *__: int) -> Gate | None:
        """Two values, and enough entries."""
        return Gate(f"min(v) <> max(v) AND count(*) > {self.known}")


@dataclass(frozen=True)
class Waking:
    """No other entry of the group is in the window, and the entry is none that a group begins
    with: its value is not among ``begins``. What was before the window must then be old."""

    begins: tuple[str, ...]
    edge: ClassVar[bool] = False

    def marked(self, rows: str, node: Windowed) -> str:
        """By the entry before; the evidence is the entry itself."""
        holds = f"coalesce(lag(t) OVER ({node.order}) <= t - {node.span}, TRUE) AND {self._old}"
        return f"SELECT *, {holds} AS holds, t - 1 AS since FROM ({rows})"

    @property
    def _old(self) -> str:
        return f"v NOT IN ({', '.join(map(literal, self.begins))})"

    def gate(self, node: Windowed, after: int, through: int) -> Gate | None:
        """Nothing in what lies in the window of every entry of the range, if anything does."""
        still = f"count(*) FILTER (t > {through - node.span} AND t <= {after}) = 0"
        return Gate(f"{still} AND bool_or(t > {after} AND {self._old})")


@dataclass(frozen=True)
class Travel:
    """The group's entry before is in the window and so far away that nobody travels it in time:
    at least ``km`` kilometres, faster than ``km_per_hour``. The value is a cell (ISO 6709)."""

    km: int
    km_per_hour: int
    edge: ClassVar[bool] = True

    def marked(self, rows: str, node: Windowed) -> str:
        """By the great circle between the two cells (haversine); both are the evidence."""
        holds = (
            f"coalesce(before > t - {node.span} AND km >= {self.km} "
            f"AND km * {_HOUR} > {self.km_per_hour} * (t - before), FALSE)"
        )
        return (
            f"SELECT *, {holds} AS holds, before - 1 AS since FROM ("
            f"SELECT *, {_EARTH_DIAMETER_KM} * asin(sqrt(least(1.0, {_HAVERSINE}))) AS km FROM ("
            f"SELECT *, lag(lat) OVER o AS lat0, lag(lon) OVER o AS lon0, lag(t) OVER o AS before "
            f"FROM (SELECT *, {_LATITUDE} AS lat, {_LONGITUDE} AS lon FROM ({rows})) "
            f"WINDOW o AS ({node.order})))"
        )

    def gate(self, _: Windowed, *__: int) -> Gate | None:
        """Two places."""
        return Gate("min(v) <> max(v)")


_LATITUDE: Final = "radians(try_cast(substr(v, 1, 6) AS DOUBLE))"
_LONGITUDE: Final = "radians(try_cast(substr(v, 7) AS DOUBLE))"
_HAVERSINE: Final = (
    "pow(sin((lat - lat0) / 2), 2) + cos(lat) * cos(lat0) * pow(sin((lon - lon0) / 2), 2)"
)
