"""Searching the trail: events and access records as one, in either direction, page by page.

A page costs the same at any depth. Each index begins with what a search names and ends with the
order of the trail; where a search leaves out a column in between that has few values (a type, an
outcome), each value is one branch of the query, and the branches are merged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal

from device_ledger.wire.access import ACCESS_TYPES
from device_ledger.wire.events import COMMAND_REFUSED, EVENT_TYPES
from device_ledger.wire.trail import Entry
from projections.model import Position, ReadModel
from projections.readers import ReadModels, Shown, Statement
from projections.trail.apply import ACCESS, AUDIT

Place = tuple[str, int, str]
"""A place in the trail: ``(at, seq, ref)`` of an entry."""

OUTCOMES: Final = ("done", "refused", "found", "not-found")

_FIRST: Final[Place] = ("", -1, "")
_LAST: Final[Place] = ("~", -1, "")
_COLUMNS: Final = ", ".join(AUDIT.columns)
_NAMED: Final = ("device_token", "customer_id", "user_id", "merchant_id", "actor")
"""What a search may name, the fewest entries first: the first that it names leads the index."""

_WITHIN_BANK: Final = ("customer_id", "user_id")
_WITH_OUTCOME: Final = ("merchant_id", "actor")


@dataclass(frozen=True, slots=True)
class TrailFilter:
    """Which entries: those that agree with all that is not ``None``.

    A customer or user is one of a bank. ``types`` names types of events or access records, none:
    all. ``since`` and ``until`` (RFC 3339, UTC, milliseconds) hold ``since <= at < until``.
    """

    device_token: str | None = None
    bank_id: str | None = None
    customer_id: str | None = None
    user_id: str | None = None
    merchant_id: str | None = None
    actor: str | None = None
    types: tuple[str, ...] = ()
    outcome: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Entries, and the position of the access records that they show (that of the events is the
    answer's own)."""

    entries: list[Entry]
    accesses: Position


def place_of(entry: Entry) -> Place:
    """Where an entry stands in the trail."""
    return entry.at, entry.seq, entry.ref


async def search(
    models: ReadModels,
    filtered: TrailFilter,
    *,
    newest_first: bool = True,
    after: Place | None = None,
    limit: int,
) -> Shown[Found]:
    """A page of the trail. ``after`` goes on behind that place, in the direction asked for.

    Raises:
        NotReadyError: a read model can't be read.
        ValueError: a customer or a user is named without the bank.
    """
    found: list[Entry] = []
    positions = []
    for model in (AUDIT, ACCESS):
        statement = statement_of(
            models.engine, model, filtered, newest_first=newest_first, after=after, limit=limit
        )
        shown = await models.read(model.name, *statement, slow=True)
        found += [Entry._make(row) for rows in shown.value for row in rows]
        positions.append(shown.position)
    found.sort(key=place_of, reverse=newest_first)
    return Shown(Found(found[:limit], positions[1]), positions[0])


async def entries(
    models: ReadModels, refs: Sequence[str], *, bank_id: str | None = None
) -> Shown[Found]:
    """The entries of these references, in the trail's order; only the bank's, where one is given.

    Raises:
        NotReadyError: a read model can't be read.
    """
    narrowed = "" if bank_id is None else " AND bank_id = :bank_id"
    text = f"SELECT {_COLUMNS} FROM trail WHERE ref IN :refs{narrowed}"
    asked = (text, {"refs": list(refs), "bank_id": bank_id})
    events = await models.read(AUDIT.name, asked, slow=True)
    accesses = await models.read(ACCESS.name, asked, slow=True)
    found = [Entry._make(row) for row in (*events.value[0], *accesses.value[0])]
    return Shown(Found(sorted(found, key=place_of), accesses.position), events.position)


def statement_of(
    engine: Literal["sqlite", "postgresql"],
    model: ReadModel,
    filtered: TrailFilter,
    *,
    newest_first: bool,
    after: Place | None,
    limit: int,
) -> list[Statement]:
    """The query for a page of one of the read models; none where it can hold nothing of it.

    Raises:
        ValueError: a customer or a user is named without the bank.
    """
    low, high = _bounds(filtered, newest_first, after)
    values: dict[str, Any] = {"most": limit}
    values |= dict(zip(("low_at", "low_seq", "low_ref"), low, strict=True))
    values |= dict(zip(("high_at", "high_seq", "high_ref"), high, strict=True))
    direction = "DESC" if newest_first else "ASC"
    order = f"ORDER BY at {direction}, seq {direction}, ref {direction}"
    branches = [
        _branch(filtered, number, equal, values)
        for number, equal in enumerate(_branches(model, filtered))
    ]
    if not branches:
        return []
    if engine == "postgresql":
        # It merges only what is limited by itself; SQLite only what is not.
        branches = [
            f"SELECT * FROM ({branch} {order} LIMIT :most) AS branch_{number}"
            for number, branch in enumerate(branches)
        ]
    # Each branch is in order by its index, so the databases merge them, and stop at the limit.
    merged = f"{' UNION ALL '.join(branches)} {order} LIMIT :most"
    text = (
        f"SELECT {_COLUMNS} FROM trail WHERE ref IN (SELECT ref FROM ({merged}) AS merged) {order}"
    )
    return [(text, values)]


def _branch(
    filtered: TrailFilter, number: int, equal: Mapping[str, str], values: dict[str, Any]
) -> str:
    """The query for one branch; its parameters are added to ``values``."""
    names = {column: f"{column}_{number}" for column in equal}
    values |= {names[column]: value for column, value in equal.items()}
    conditions = [f"{column} = :{name}" for column, name in names.items()]
    conditions += _others(filtered, equal, values)
    return (
        f"SELECT ref, at, seq FROM trail WHERE {' AND '.join(conditions)}"
        " AND (at, seq, ref) > (:low_at, :low_seq, :low_ref)"
        " AND (at, seq, ref) < (:high_at, :high_seq, :high_ref)"
    )


def _bounds(filtered: TrailFilter, newest_first: bool, after: Place | None) -> tuple[Place, Place]:
    """The places between which entries lie, themselves left out."""
    low = (filtered.since, -1, "") if filtered.since else _FIRST
    high = (filtered.until, -1, "") if filtered.until else _LAST
    if after and newest_first:
        high = min(high, after)
    elif after:
        low = max(low, after)
    return low, high


def _branches(model: ReadModel, filtered: TrailFilter) -> list[Mapping[str, str]]:
    """The values of the index's first columns, for each branch of the query."""
    named = next((name for name in _NAMED if getattr(filtered, name) is not None), None)
    if named in _WITHIN_BANK and filtered.bank_id is None:
        raise ValueError(f"{named} is one of a bank: name the bank too")
    fixed = {} if filtered.bank_id is None else {"bank_id": filtered.bank_id}
    pairs = _pairs(model, filtered)
    if named is None:
        return [fixed | {"type": kind, "outcome": outcome} for kind, outcome in pairs]
    fixed |= {named: getattr(filtered, named)}
    if named == "device_token" and filtered.bank_id is None:
        return [fixed | {"type": kind} for kind in dict(pairs)]
    if named in _WITH_OUTCOME:
        return [fixed | {"outcome": outcome} for outcome in sorted({o for _, o in pairs})]
    return [fixed] if pairs else []


def _pairs(model: ReadModel, filtered: TrailFilter) -> list[tuple[str, str]]:
    """The types with the outcomes that a read model may hold of what is searched."""
    if model is AUDIT:
        pairs = [(kind, "refused" if kind == COMMAND_REFUSED else "done") for kind in EVENT_TYPES]
    else:
        pairs = list(product(ACCESS_TYPES, OUTCOMES))
    return [
        (kind, outcome)
        for kind, outcome in pairs
        if (not filtered.types or kind in filtered.types) and filtered.outcome in {None, outcome}
    ]


def _others(filtered: TrailFilter, equal: Mapping[str, str], values: dict[str, Any]) -> list[str]:
    """Conditions on the columns that the index doesn't begin with, kept from choosing another."""
    conditions = []
    for column in (*_NAMED, "outcome"):
        value = getattr(filtered, column)
        if value is not None and column not in equal:
            values[column] = value
            conditions.append(f"{column} || '' = :{column}")
    if filtered.types and "type" not in equal:
        values["types"] = list(filtered.types)
        conditions.append("type || '' IN :types")
    return conditions
