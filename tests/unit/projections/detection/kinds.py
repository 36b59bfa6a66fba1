"""Every kind of rule, small: its text, and what it means in the words of the slow reference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tests.support.detection_reference import Asked, Member, km

LINK, UNLINK, LOGIN = "device.linked.v1", "device.unlinked.v1", "device.login_seen.v1"
LOOKUP = "device.looked_up.v1"

_COMPARED: dict[str, Callable[[int, int], bool]] = {
    "gte": int.__ge__,
    "gt": int.__gt__,
    "lt": int.__lt__,
    "lte": int.__le__,
    "eq": int.__eq__,
    "neq": int.__ne__,
}


@dataclass(frozen=True)
class Kind:
    """A rule's text, and what it asks."""

    text: str
    asked: Asked


def _base(name: str, type_: str) -> str:
    return (
        f"title: {name}\nname: {name}\nlogsource: {{product: device-ledger}}\n"
        f"detection: {{it: {{type: {type_}}}, condition: it}}\n"
    )


def _correlation(bases: Sequence[str], **words: object) -> str:
    told = "".join(f"  {word.replace('_', '-')}: {value}\n" for word, value in words.items())
    return "---\n".join([*bases, f"title: rule\nlevel: high\ncorrelation:\n{told}"])


def _count(members: Sequence[Member]) -> int:
    return len(members)


def _devices(members: Sequence[Member]) -> int:
    return len({one.entry.device_token for one in members} - {None})


def event_count(operator: str, count: int, groups: Sequence[str], seconds: int) -> Kind:
    """So many links or logins."""
    text = _correlation(
        [_base("link", LINK), _base("login", LOGIN)],
        type="event_count",
        rules="[link, login]",
        group_by=f"[{', '.join(groups)}]",
        timespan=f"{seconds}s",
        condition=f"{{{operator}: {count}}}",
    )
    compared = _COMPARED[operator]
    return Kind(
        text,
        Asked(
            (LINK, LOGIN),
            tuple(groups),
            timedelta(seconds=seconds),
            lambda window: compared(_count(window), count),
        ),
    )


def value_count(operator: str, count: int, groups: Sequence[str], seconds: int) -> Kind:
    """So many devices."""
    text = _correlation(
        [_base("login", LOGIN)],
        type="value_count",
        rules="[login]",
        group_by=f"[{', '.join(groups)}]",
        timespan=f"{seconds}s",
        condition=f"{{{operator}: {count}, field: device_token}}",
    )
    compared = _COMPARED[operator]
    return Kind(
        text,
        Asked(
            (LOGIN,),
            tuple(groups),
            timedelta(seconds=seconds),
            lambda window: compared(_devices(window), count),
        ),
    )


def temporal(count: int, groups: Sequence[str], seconds: int) -> Kind:
    """So many of link, unlink and lookup."""
    text = _correlation(
        [_base("link", LINK), _base("unlink", UNLINK), _base("lookup", LOOKUP)],
        type="temporal",
        rules="[link, unlink, lookup]",
        group_by=f"[{', '.join(groups)}]",
        timespan=f"{seconds}s",
        condition=f"{{gte: {count}}}",
    )
    return Kind(
        text,
        Asked(
            (LINK, UNLINK, LOOKUP),
            tuple(groups),
            timedelta(seconds=seconds),
            lambda window: len(frozenset().union(*(one.slots for one in window))) >= count,
        ),
    )


def temporal_not(groups: Sequence[str], seconds: int) -> Kind:
    """A link or an unlink, and no lookup."""
    text = _correlation(
        [_base("link", LINK), _base("unlink", UNLINK), _base("lookup", LOOKUP)],
        type="temporal",
        rules="[link, unlink, lookup]",
        group_by=f"[{', '.join(groups)}]",
        timespan=f"{seconds}s",
        condition="(link or unlink) and not lookup",
    )

    def holds(window: Sequence[Member]) -> bool:
        seen = frozenset().union(*(one.slots for one in window))
        return bool(seen & {0, 1}) and 2 not in seen

    return Kind(
        text, Asked((LINK, UNLINK, LOOKUP), tuple(groups), timedelta(seconds=seconds), holds)
    )


def temporal_ordered(groups: Sequence[str], seconds: int) -> Kind:
    """A link, then an unlink, then a login."""
    text = _correlation(
        [_base("link", LINK), _base("unlink", UNLINK), _base("login", LOGIN)],
        type="temporal_ordered",
        rules="[link, unlink, login]",
        group_by=f"[{', '.join(groups)}]",
        timespan=f"{seconds}s",
    )
    return Kind(
        text,
        Asked((LINK, UNLINK, LOGIN), tuple(groups), timedelta(seconds=seconds), _in_order),
    )


def _in_order(window: Sequence[Member]) -> bool:
    reached = 0
    for one in window:
        reached += reached in one.slots if reached < 3 else 0
    return reached == 3


def after_an_alert(groups: Sequence[str], seconds: int) -> Kind:
    """Three links, and then one more."""
    burst = f"""title: burst
name: burst
correlation:
  type: event_count
  rules: [link]
  group-by: [{", ".join(groups)}]
  timespan: {seconds}s
  condition: {{gte: 3}}
"""
    text = _correlation(
        [_base("link", LINK), burst],
        type="temporal_ordered",
        rules="[burst, link]",
        group_by=f"[{', '.join(groups)}]",
        timespan=f"{2 * seconds}s",
    )
    inner = Asked(
        (LINK,), tuple(groups), timedelta(seconds=seconds), lambda window: len(window) >= 3
    )

    def holds(window: Sequence[Member]) -> bool:
        bursts = [place for place, one in enumerate(window) if 0 in one.slots]
        return bool(bursts) and any(1 in one.slots for one in window[bursts[0] + 1 :])

    return Kind(text, Asked((inner, LINK), tuple(groups), timedelta(seconds=2 * seconds), holds))


def _history(type_: str, groups: Sequence[str], seconds: int, **words: object) -> str:
    told = "".join(f"  {word.replace('_', '-')}: {value}\n" for word, value in words.items())
    return (
        f"title: rule\nlevel: high\nlogsource: {{product: device-ledger}}\n"
        f"detection: {{it: {{type: [{LINK}, {LOGIN}]}}, condition: it}}\n"
        f"history:\n  type: {type_}\n  group-by: [{', '.join(groups)}]\n"
        f"  timespan: {seconds}s\n{told}"
    )


def first_seen(known: int, settled: int, groups: Sequence[str], seconds: int) -> Kind:
    """A device that is new."""

    def holds(window: Sequence[Member]) -> bool:
        *before, last = window
        return (
            len(before) >= known
            and last.entry.device_token not in {one.entry.device_token for one in before}
            and before[0].at <= last.at - timedelta(seconds=settled)
        )

    return Kind(
        _history(
            "first_seen",
            groups,
            seconds,
            field="device_token",
            known=known,
            settled=f"{settled}s",
        ),
        Asked(
            (LINK, LOGIN),
            tuple(groups),
            timedelta(seconds=seconds),
            holds,
            edge=False,
            wanted_field="device_token",
        ),
    )


def waking(groups: Sequence[str], seconds: int) -> Kind:
    """A login after a long silence."""
    return Kind(
        _history("waking", groups, seconds, field="type", begins=LINK),
        Asked(
            (LINK, LOGIN),
            tuple(groups),
            timedelta(seconds=seconds),
            lambda window: len(window) == 1 and window[0].entry.type != LINK,
            edge=False,
        ),
    )


def travel(groups: Sequence[str], seconds: int) -> Kind:
    """Farther than 500 km, faster than 50,000 km/h."""

    def holds(window: Sequence[Member]) -> bool:
        if len(window) < 2:
            return False
        one, other = window[-2:]
        assert one.entry.cell is not None
        assert other.entry.cell is not None
        far = km(one.entry.cell, other.entry.cell)
        return far >= 500 and far * 3600 > 50_000 * (other.at - one.at).total_seconds()

    return Kind(
        _history("travel", groups, seconds, field="cell", km=500, km_per_hour=50_000),
        Asked(
            (LINK, LOGIN),
            tuple(groups),
            timedelta(seconds=seconds),
            holds,
            wanted_field="cell",
            shown=lambda window: [one for one in window if one.at >= window[-2].at],
        ),
    )
