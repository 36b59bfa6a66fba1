"""What rules mean, told the slow way: every window is walked through, entry by entry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import asin, cos, radians, sin, sqrt

from device_ledger.wire.trail import Entry


@dataclass(frozen=True)
class Asked:
    """A node of a rule.

    A slot is the type of its entries, or another node whose alerts it takes. ``holds`` decides at
    the last of the entries given, which are those of the window that ends with it; ``edge`` says
    that an alert is only where it becomes true; ``shown`` gives the evidence of an alert.
    ``wanted_field`` is one that its entries must have.
    """

    slots: tuple["str | Asked", ...]
    groups: tuple[str, ...]
    span: timedelta
    holds: Callable[[Sequence["Member"]], bool]
    edge: bool = True
    wanted_field: str | None = None
    shown: Callable[[Sequence["Member"]], Sequence["Member"]] = lambda window: window


@dataclass(frozen=True)
class Member:
    """An entry of a node."""

    entry: Entry
    slots: frozenset[int]

    @property
    def at(self) -> datetime:
        """Its recorded time."""
        return datetime.fromisoformat(self.entry.at)


@dataclass(frozen=True)
class Told:
    """An alert: the entry that completed it, and the entries that are its evidence."""

    completed_by: str
    group: tuple[str, ...]
    evidence: tuple[str, ...]


def alerts(asked: Asked, entries: Sequence[Entry]) -> list[Told]:
    """All alerts of a history, in its order."""
    by_ref = {entry.ref: entry for entry in entries}
    found = []
    for group, members in _grouped(asked, entries):
        for place in range(len(members)):
            if _alerts_at(asked, members, place):
                evidence = _evidence(asked, members[: place + 1], entries)
                found.append(Told(members[place].entry.ref, group, evidence))
    return sorted(found, key=lambda one: (_order(by_ref[one.completed_by]), one.group))


def _order(entry: Entry) -> tuple[str, int, str]:
    return entry.at, entry.seq, entry.ref


def _grouped(asked: Asked, entries: Sequence[Entry]) -> list[tuple[tuple[str, ...], list[Member]]]:
    slots: dict[str, set[int]] = {}
    for index, slot in enumerate(asked.slots):
        if isinstance(slot, str):
            refs = [entry.ref for entry in entries if entry.type == slot]
        else:
            refs = [one.completed_by for one in alerts(slot, entries)]
        for ref in refs:
            slots.setdefault(ref, set()).add(index)
    groups: dict[tuple[str, ...], list[Member]] = {}
    for entry in sorted(entries, key=_order):
        group = tuple(getattr(entry, name) for name in asked.groups)
        field = asked.wanted_field
        known = field is None or getattr(entry, field) is not None
        if entry.ref in slots and None not in group and known:
            groups.setdefault(group, []).append(Member(entry, frozenset(slots[entry.ref])))
    return list(groups.items())


def _alerts_at(asked: Asked, members: Sequence[Member], place: int) -> bool:
    if not _holds_at(asked, members, place):
        return False
    if not asked.edge or place == 0:
        return True
    in_window = members[place - 1].at > members[place].at - asked.span
    return not (in_window and _holds_at(asked, members, place - 1))


def _holds_at(asked: Asked, members: Sequence[Member], place: int) -> bool:
    return asked.holds(window(members[: place + 1], asked.span))


def window(members: Sequence[Member], span: timedelta) -> list[Member]:
    """Those in the window that ends at the last of them."""
    return [one for one in members if one.at > members[-1].at - span]


def _evidence(asked: Asked, members: Sequence[Member], entries: Sequence[Entry]) -> tuple[str, ...]:
    refs: set[str] = set()
    for one in asked.shown(window(members, asked.span)):
        for index in one.slots:
            slot = asked.slots[index]
            if isinstance(slot, str):
                refs.add(one.entry.ref)
            else:
                inner = [
                    told for told in alerts(slot, entries) if told.completed_by == one.entry.ref
                ]
                refs.update(ref for told in inner for ref in told.evidence)
    told = sorted((entry for entry in entries if entry.ref in refs), key=_order)
    return tuple(entry.ref for entry in told)


def km(one: str, other: str) -> float:
    """The great circle between two cells."""
    lat, lat0 = radians(float(one[:6])), radians(float(other[:6]))
    across = sin(radians(float(one[6:]) - float(other[6:])) / 2) ** 2
    return 2 * 6371.0088 * asin(sqrt(sin((lat - lat0) / 2) ** 2 + cos(lat) * cos(lat0) * across))
