"""What a rule asks, free of Sigma's words: nodes that take entries and give alerts.

A node's entries fall into groups; in each, in the order of ``(at, seq, ref)``, its test is true or
not at every entry, by what lies in the window before it. It alerts where the test becomes true.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol


@dataclass(frozen=True)
class Matching:
    """Entries that a predicate (SQL over ``trail``) picks."""

    predicate: str
    reads_access: bool


@dataclass(frozen=True)
class OfTrail:
    """Entries that a node takes: ``columns`` give its groups, ``values`` what is counted."""

    matching: Matching
    columns: tuple[str, ...]
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class OfAlerts:
    """Alerts of another node that a node takes, each for the entry that completed it, with that
    entry's fields; a name in the other node's groups means its group."""

    node: "Windowed"
    columns: tuple[str, ...]
    values: tuple[str, ...] = ()


Source = OfTrail | OfAlerts


@dataclass(frozen=True)
class Gate:
    """What a group must have to be looked at entry by entry: a filter that loses no alert.

    ``having`` is a condition over all of the group's entries that were scanned. With a ``least``
    of 3 or more it is left aside: then that many in a window are asked for.
    """

    having: str
    least: int = 1


class Test(Protocol):
    """What decides a node. It sees the relation of its entries: ``t`` (milliseconds since the
    epoch), ``seq``, ``ref``, groups ``g0…``, the counted value ``v``, and per source ``s0…``."""

    @property
    def edge(self) -> bool:
        """Whether it alerts only where it becomes true, instead of at every entry where it is."""
        ...

    def marked(self, rows: str, node: "Windowed") -> str:
        """A query that adds to ``rows`` the columns ``holds`` and ``since``: whether it is true,
        and the time after which its evidence begins."""
        ...

    def gate(self, node: "Windowed", after: int, through: int) -> Gate | None:
        """What a group must have for it to be true anywhere in that range (of ``t``)."""
        ...


@dataclass(frozen=True)
class Windowed:
    """A node with groups, a window of ``span`` milliseconds, and a test."""

    sources: tuple[Source, ...]
    groups: tuple[str, ...]
    span: int
    test: Test

    @property
    def reach(self) -> int:
        """How far before a time its entries have to reach to decide at it, in milliseconds."""
        return 2 * self.span if self.test.edge else self.span

    @property
    def partition(self) -> str:
        """The group in SQL, for a window function."""
        names = ", ".join(f"g{index}" for index in range(len(self.groups)))
        return f"PARTITION BY {names}" if names else ""

    @property
    def order(self) -> str:
        """The group's entries in their order, for a window function."""
        return f"{self.partition} ORDER BY t, seq, ref"


def lookback(node: Matching | Windowed) -> timedelta:
    """How far before the start of a range the trail must reach to evaluate it."""
    return timedelta(milliseconds=_lookback(node))


def _lookback(node: Matching | Windowed) -> int:
    if isinstance(node, Matching):
        return 0
    return node.reach + max(
        _lookback(source.node) if isinstance(source, OfAlerts) else 0 for source in node.sources
    )


def reads_access(node: Matching | Windowed) -> bool:
    """Whether access records can be among its entries."""
    if isinstance(node, Matching):
        return node.reads_access
    return any(
        reads_access(source.matching if isinstance(source, OfTrail) else source.node)
        for source in node.sources
    )
