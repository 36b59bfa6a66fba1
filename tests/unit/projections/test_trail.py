"""Searching the trail: what is found, in which order, page by page, and at what cost."""

import sqlite3
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest

from device_ledger.wire import access, events
from device_ledger.wire.trail import Entry, entry_of_access, entry_of_event
from projections.model import ReadModel
from projections.postgres_reader import _translated as _translated_for_postgres
from projections.readers import ReadModels, open_read_models
from projections.sqlite_reader import _translated, _values
from projections.trail.apply import ACCESS, AUDIT
from projections.trail.queries import (
    OUTCOMES,
    Place,
    TrailFilter,
    entries,
    place_of,
    search,
    statement_of,
)
from tests.samples import events as sample
from tests.samples.accesses import flush, looked_up
from tests.support.projecting import PARTITIONS, Projecting
from tests.support.read_models import end_of

TOLD = [
    *sample.history(8),
    *sample.history(4, first_id=60, bank="bank-b"),
    *(sample.refused(number, actor={"subject": "intruder"}) for number in range(90, 96)),
]
LOOKED = [
    # Half of them at the times of events: the order within a moment counts too.
    looked_up(
        number,
        device=f"device-token-bank-a-{number % 3}" if number % 4 else None,
        kind=access.ACCESS_TYPES[number % 3],
        outcome=OUTCOMES[number % 4],
        merchantId=f"shop-{number % 2}",
        actor={"subject": f"shop-{number % 2}"},
        bankId=("bank-a", "bank-b", None)[number % 3],
        customerId=f"Customer-{number % 7}",
        userId=f"user-bank-a-{number % 7}",
    )
    for number in range(60)
]
TRAIL = sorted(
    [*(entry_of_event(one) for one in TOLD), *(entry_of_access(one) for one in LOOKED)],
    key=place_of,
)
FILTERS = [
    TrailFilter(),
    TrailFilter(bank_id="bank-b"),
    TrailFilter(device_token="device-token-bank-a-1"),
    TrailFilter(device_token="device-token-bank-a-1", bank_id="bank-a"),
    TrailFilter(device_token="device-token-bank-a-1", types=(events.DEVICE_LINKED,)),
    TrailFilter(device_token="device-token-bank-a-1", bank_id="bank-a", outcome="done"),
    TrailFilter(bank_id="bank-a", customer_id="Customer-1"),
    TrailFilter(bank_id="bank-a", customer_id="Customer-1", merchant_id="shop-1"),
    TrailFilter(bank_id="bank-b", user_id="user-bank-b-2"),
    TrailFilter(merchant_id="shop-1"),
    TrailFilter(merchant_id="shop-1", outcome="refused", types=access.ACCESS_TYPES[:2]),
    TrailFilter(merchant_id="shop-0", bank_id="bank-b"),
    TrailFilter(actor="intruder"),
    TrailFilter(actor="shop-1", bank_id="bank-a", outcome="not-found"),
    TrailFilter(types=(events.DEVICE_LINKED, access.DEVICES_LISTED)),
    TrailFilter(types=(events.COMMAND_REFUSED,), bank_id="bank-a"),
    TrailFilter(outcome="refused"),
    TrailFilter(outcome="done", bank_id="bank-b"),
    TrailFilter(since=sample.at(20), until=sample.at(50)),
    TrailFilter(bank_id="bank-a", since=sample.at(20)),
    TrailFilter(actor="bank-service", until=sample.at(20)),
    TrailFilter(types=("no.such.type",)),
    TrailFilter(device_token="none"),
]


def agrees(entry: Entry, filtered: TrailFilter) -> bool:
    """Whether a search is for this entry, told simply."""
    columns = ("device_token", "bank_id", "customer_id", "user_id", "merchant_id", "actor")
    asked = {column: getattr(filtered, column) for column in (*columns, "outcome")}
    return (
        all(value in {None, getattr(entry, column)} for column, value in asked.items())
        and (not filtered.types or entry.type in filtered.types)
        and (filtered.since or "") <= entry.at < (filtered.until or "~")
    )


@pytest.fixture
async def models(projecting: Projecting) -> AsyncIterator[ReadModels]:
    """Readers of a trail that holds all of it."""
    projecting.topic.batch = 100
    await projecting.show(AUDIT, *sample.on_partitions(TOLD, PARTITIONS))
    await projecting.show(ACCESS, *(flush(*LOOKED[at : at + 7]) for at in range(0, 60, 7)))
    opened = await open_read_models(projecting.settings)
    yield opened
    await opened.close()


async def pages(
    models: ReadModels, filtered: TrailFilter, *, newest_first: bool, limit: int
) -> list[Entry]:
    """All pages of a search, one after the other."""
    found: list[Entry] = []
    while True:
        after = place_of(found[-1]) if found else None
        shown = await search(models, filtered, newest_first=newest_first, after=after, limit=limit)
        assert len(shown.value.entries) <= limit
        found += shown.value.entries
        if len(shown.value.entries) < limit:
            return found


async def test_pages_follow_each_other_to_all_that_is_searched(models: ReadModels) -> None:
    for filtered, newest_first, limit in product(FILTERS, (True, False), (7, 100)):
        expected = [entry for entry in TRAIL if agrees(entry, filtered)]
        if newest_first:
            expected.reverse()
        found = await pages(models, filtered, newest_first=newest_first, limit=limit)
        assert found == expected, filtered
    assert sum(any(agrees(entry, one) for entry in TRAIL) for one in FILTERS) == len(FILTERS) - 2


async def test_an_answer_tells_which_events_and_accesses_it_shows(models: ReadModels) -> None:
    shown = await search(models, TrailFilter(), limit=1)
    end = end_of(sample.on_partitions(TOLD, PARTITIONS))
    assert (shown.position, shown.value.accesses) == (end, {0: 9})
    assert (await search(models, FILTERS[-2], limit=1)).position == end


@pytest.mark.parametrize(
    "filtered", [TrailFilter(customer_id="Customer-1"), TrailFilter(user_id="user-1")]
)
async def test_a_customer_is_one_of_a_bank(models: ReadModels, filtered: TrailFilter) -> None:
    with pytest.raises(ValueError, match="is one of a bank: name the bank too"):
        await search(models, filtered, limit=1)


async def test_entries_are_found_by_their_references(models: ReadModels) -> None:
    event, record = TRAIL[3], entry_of_access(LOOKED[40])
    asked = [record.ref, "none", event.ref]
    assert (await entries(models, asked)).value.entries == [event, record]
    assert record.bank_id == "bank-b"
    narrowed = await entries(models, asked, bank_id="bank-b")
    assert narrowed.value.entries == [record]


def connected(model: ReadModel, rows: list[Entry]) -> sqlite3.Connection:
    """A database with the table of a read model."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(model.schema("sqlite"))
    marks = ", ".join("?" * len(model.columns))
    connection.executemany(f"INSERT INTO trail VALUES ({marks})", rows)
    return connection


@pytest.mark.parametrize(
    ("filtered", "index", "led_by"),
    [
        (TrailFilter(), "type", "type=? AND outcome=?"),
        (
            TrailFilter(types=(events.DEVICE_LINKED, access.LOG_READ)),
            "type",
            "type=? AND outcome=?",
        ),
        (TrailFilter(bank_id="b"), "bank", "bank_id=? AND type=? AND outcome=?"),
        (TrailFilter(bank_id="b", outcome="done"), "bank", "bank_id=? AND type=? AND outcome=?"),
        (TrailFilter(device_token="d"), "device", "device_token=? AND type=?"),
        (TrailFilter(device_token="d", outcome="done"), "device", "device_token=? AND type=?"),
        (
            TrailFilter(device_token="d", bank_id="b", types=events.EVENT_TYPES),
            "bank_and_device",
            "bank_id=? AND device_token=?",
        ),
        (
            TrailFilter(bank_id="b", customer_id="c", user_id="u", actor="a"),
            "customer",
            "bank_id=? AND customer_id=?",
        ),
        (TrailFilter(bank_id="b", user_id="u"), "user", "bank_id=? AND user_id=?"),
        (TrailFilter(actor="a"), "actor", "actor=? AND outcome=?"),
        (
            TrailFilter(bank_id="b", actor="a", types=(events.DEVICE_LINKED,)),
            "bank_and_actor",
            "bank_id=? AND actor=? AND outcome=?",
        ),
        (TrailFilter(merchant_id="m", actor="a"), "merchant", "merchant_id=? AND outcome=?"),
        (
            TrailFilter(bank_id="b", merchant_id="m"),
            "bank_and_merchant",
            "bank_id=? AND merchant_id=? AND outcome=?",
        ),
    ],
)
@pytest.mark.parametrize("newest_first", [True, False])
def test_each_search_has_an_index_that_ends_with_the_trails_order(
    filtered: TrailFilter, index: str, led_by: str, newest_first: bool
) -> None:
    [(text, values)] = statement_of(
        "sqlite", AUDIT, filtered, newest_first=newest_first, after=None, limit=10
    )
    explained = connected(AUDIT, []).execute(
        f"EXPLAIN QUERY PLAN {_translated(text)}", _values(values)
    )
    plan = [detail for *_, detail in explained]
    looks = {detail.replace("COVERING ", "") for detail in plan if " trail " in detail}
    between = "(at,seq,ref)>(?,?,?) AND (at,seq,ref)<(?,?,?)"
    assert looks == {
        f"SEARCH trail USING INDEX trail_by_{index} ({led_by} AND {between})",
        "SEARCH trail USING INDEX sqlite_autoindex_trail_1 (ref=?)",
    }
    # The page itself is sorted, and nothing before it: branches are merged.
    assert plan.count("USE TEMP B-TREE FOR ORDER BY") == 1


async def test_postgresql_merges_the_branches_too(postgres_database: str, tmp_path: Path) -> None:
    projecting = Projecting(postgres_database, tmp_path)
    projecting.topic.batch = 3_000
    makers = (sample.login_seen, sample.refused)
    told = [makers[number % 2](number + 1) for number in range(3_000)]
    await projecting.show(AUDIT, *sample.on_partitions(told, PARTITIONS))
    generation = projecting.store.live(AUDIT)
    assert generation is not None
    with psycopg.connect(postgres_database) as connection:
        connection.execute(f"SET search_path = {generation}; ANALYZE trail")
        of_actor = TrailFilter(bank_id=sample.BANK, actor="bank-service")
        for filtered, branches in ((TrailFilter(), len(events.EVENT_TYPES)), (of_actor, 2)):
            [(text, values)] = statement_of(
                "postgresql", AUDIT, filtered, newest_first=True, after=None, limit=20
            )
            explain = f"EXPLAIN {_translated_for_postgres(text, generation)}"
            plan = "\n".join(line for (line,) in connection.execute(explain, values))
            backward = plan.count(" Scan Backward using trail_by_")
            assert (plan.count("Merge Append"), backward) == (1, branches)


def many(count: int) -> list[Entry]:
    """Logins of ten devices, one a second."""
    return [
        entry_of_event(
            sample.login_seen(number, device=f"device-{number % 10}", customerId="c", userId="u")
        )
        for number in range(count)
    ]


def steps(connection: sqlite3.Connection, filtered: TrailFilter, after: Place | None) -> int:
    """The instructions that SQLite executes for a page."""
    [(text, values)] = statement_of(
        "sqlite", AUDIT, filtered, newest_first=True, after=after, limit=20
    )
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    connection.set_progress_handler(count, 1)
    found = connection.execute(_translated(text), _values(values)).fetchall()
    connection.set_progress_handler(None, 0)
    assert len(found) == 20
    return counted


@pytest.mark.parametrize(
    "filtered",
    [
        TrailFilter(),
        TrailFilter(bank_id=sample.BANK),
        TrailFilter(device_token="device-3"),
        TrailFilter(device_token="device-3", bank_id=sample.BANK),
        TrailFilter(bank_id=sample.BANK, customer_id="c"),
        TrailFilter(bank_id=sample.BANK, user_id="u"),
        TrailFilter(actor="bank-service"),
        TrailFilter(bank_id=sample.BANK, actor="bank-service"),
        TrailFilter(types=(events.DEVICE_LOGIN_SEEN,)),
        TrailFilter(bank_id=sample.BANK, outcome="done", until=sample.at(5_900)),
    ],
)
def test_a_page_costs_the_same_at_any_depth_of_a_trail_of_any_length(
    filtered: TrailFilter,
) -> None:
    rows = many(6_000)
    short, long = connected(AUDIT, rows[:500]), connected(AUDIT, rows)
    within: dict[str, Any] = {} if filtered.until is None else {"until": sample.at(490)}
    least = steps(short, TrailFilter(**_given(filtered) | within), None)
    for place in (rows[5_899], rows[3_000], rows[300]):
        assert steps(long, filtered, place_of(place)) <= 1.1 * least
    assert steps(long, filtered, None) <= 1.1 * least


def _given(filtered: TrailFilter) -> dict[str, Any]:
    return {name: getattr(filtered, name) for name in TrailFilter.__slots__}
