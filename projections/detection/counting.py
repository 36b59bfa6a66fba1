"""The tests of Sigma's correlations."""

from dataclasses import dataclass
from typing import ClassVar, Final

from projections.detection.plan import Gate, Windowed

OPERATORS: Final = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "eq": "=", "neq": "<>"}

_TIES: Final = 1 << 20
"""Entries of a group in one millisecond, at most: keeps time and place within it in one number."""


@dataclass(frozen=True)
class EachEntry:
    """True at every entry."""

    edge: ClassVar[bool] = False

    def marked(self, rows: str, _: Windowed) -> str:
        """By nothing but the entry itself."""
        return f"SELECT *, TRUE AS holds, t - 1 AS since FROM ({rows})"

    def gate(self, _: Windowed, *__: int) -> Gate | None:
        """Nothing."""
        return None


@dataclass(frozen=True)
class EventCount:
    """So many entries are in the window."""

    operator: str
    count: int
    edge: ClassVar[bool] = True

    def marked(self, rows: str, node: Windowed) -> str:
        """By the entry that is so many places before: is it in the window?"""
        return f"SELECT *, {self._holds(node)} AS holds, t - {node.span} AS since FROM ({rows})"

    def _holds(self, node: Windowed) -> str:
        here, one_more = self._at_least(self.count, node), self._at_least(self.count + 1, node)
        return {
            "gte": here,
            "gt": one_more,
            "lt": f"NOT {here}",
            "lte": f"NOT {one_more}",
            "eq": f"({here} AND NOT {one_more})",
            "neq": f"NOT ({here} AND NOT {one_more})",
        }[self.operator]

    @staticmethod
    def _at_least(count: int, node: Windowed) -> str:
        if count <= 1:
            return "TRUE"
        first = f"lag(t, {count - 1}) OVER ({node.order})"
        return f"coalesce({first} > t - {node.span}, FALSE)"

    def gate(self, _: Windowed, *__: int) -> Gate | None:
        """As many entries."""
        return _gate(self.operator, self.count)


@dataclass(frozen=True)
class ValueCount:
    """So many different values are in the window."""

    operator: str
    count: int
    edge: ClassVar[bool] = True

    def marked(self, rows: str, node: Windowed) -> str:
        """Counts over a range of one number that is both time and place."""
        tie = f"row_number() OVER (PARTITION BY {_names(node)}t ORDER BY seq, ref) - 1"
        back = (node.span - 1) * _TIES
        holds = (
            f"count(DISTINCT v) OVER ({node.partition} ORDER BY t * {_TIES} + tie "
            f"RANGE BETWEEN {back} + tie PRECEDING AND CURRENT ROW) "
            f"{OPERATORS[self.operator]} {self.count}"
        )
        return (
            f"SELECT *, {holds} AS holds, t - {node.span} AS since "
            f"FROM (SELECT *, {tie} AS tie FROM ({rows}))"
        )

    def gate(self, _: Windowed, *__: int) -> Gate | None:
        """As many entries, and two values at all."""
        found = _gate(self.operator, self.count)
        return found and Gate("min(v) <> max(v)", found.least)


@dataclass(frozen=True)
class SourcesSeen:
    """Of the sources' entries some are in the window: ``wanted`` is SQL over ``p0…``, each true
    where an entry of that source is there. ``every`` is set where all are wanted."""

    wanted: str
    every: bool
    edge: ClassVar[bool] = True

    def marked(self, rows: str, node: Windowed) -> str:
        """By each source's last entry: is it in the window?"""
        over = f"({node.order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
        seen = ", ".join(
            f"coalesce(max(CASE WHEN s{index} THEN t END) OVER {over} > t - {node.span}, FALSE) "
            f"AS p{index}"
            for index in range(len(node.sources))
        )
        return (
            f"SELECT *, {self.wanted} AS holds, t - {node.span} AS since "
            f"FROM (SELECT *, {seen} FROM ({rows}))"
        )

    def gate(self, node: Windowed, *_: int) -> Gate | None:
        """An entry of each source."""
        return _gate_of_all(node) if self.every else None


@dataclass(frozen=True)
class SourcesInOrder:
    """In the window is an entry of each source, each after one of the source before."""

    edge: ClassVar[bool] = True

    def marked(self, rows: str, node: Windowed) -> str:
        """By the latest start of such a chain that ends here or before."""
        over = f"({node.order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
        query = f"SELECT *, max(CASE WHEN s0 THEN t END) OVER {over} AS chain0 FROM ({rows})"
        for index in range(1, len(node.sources)):
            before = f"SELECT *, lag(chain{index - 1}) OVER ({node.order}) AS before{index}"
            query = (
                f"SELECT *, max(CASE WHEN s{index} THEN before{index} END) OVER {over} "
                f"AS chain{index} FROM ({before} FROM ({query}))"
            )
        last = f"chain{len(node.sources) - 1}"
        return (
            f"SELECT *, coalesce({last} > t - {node.span}, FALSE) AS holds, "
            f"t - {node.span} AS since FROM ({query})"
        )

    def gate(self, node: Windowed, *_: int) -> Gate | None:
        """An entry of each source."""
        return _gate_of_all(node)


def _gate(operator: str, count: int) -> Gate | None:
    least = count + 1 if operator == "gt" else count
    if operator not in {"gt", "gte", "eq"} or least < 2:
        return None
    return Gate(f"count(*) >= {least}", least)


def _gate_of_all(node: Windowed) -> Gate:
    return Gate(" AND ".join(f"bool_or(s{index})" for index in range(len(node.sources))))


def _names(node: Windowed) -> str:
    return "".join(f"g{index}, " for index in range(len(node.groups)))
