"""The engine says what the slow reference says, however a range is cut."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG, Entry
from projections.detection.cases import load_trail
from projections.detection.evaluate import FoundAlert, evaluate
from projections.detection.rules import Rule, parse_rule
from projections.detection.run import Run, TooManyAlertsError
from tests.support.detection_reference import Told, alerts
from tests.unit.projections.detection import kinds
from tests.unit.projections.detection.kinds import LINK, LOGIN, LOOKUP, UNLINK, Kind

START = datetime(2026, 3, 2, tzinfo=UTC)
END = START + timedelta(minutes=5)
BEFORE = START - timedelta(milliseconds=1)

_GROUPS = st.sampled_from([("user_id",), ("device_token",), ("bank_id", "user_id"), ()])
_SECONDS = st.sampled_from([5, 10, 20, 30, 60])
_OPERATORS = st.sampled_from(["gte", "gt", "lt", "lte", "eq", "neq"])


def history(seed: int) -> list[Entry]:
    """Up to five minutes of few people and devices, in any order: often at the same moment, and
    often exactly, or all but a millisecond, a window apart."""
    random = Random(seed)
    entries, now = [], 0
    for number in range(1, random.randint(10, 70)):
        now += random.choice([0, 1, 999, 1000, 4999, 5000, 5000, 5000, 10_000])
        kind = random.choice([LINK, LINK, UNLINK, LOGIN, LOGIN, LOGIN, LOOKUP])
        event = kind != LOOKUP
        at = START + timedelta(milliseconds=min(now, 299_999))
        entries.append(
            Entry(
                ref=str(number) if event else f"access-{random.randrange(10)}-{number}",
                log=EVENTS_LOG if event else ACCESS_LOG,
                at=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                seq=number if event else 0,
                type=kind,
                outcome="done",
                device_token=random.choice(["d1", "d2", "d3", "d4", None]),
                user_id=random.choice(["u1", "u1", "u1", "u2", None]),
                bank_id=random.choice(["b1", "b1", "b2"]),
                cell=random.choice(["+52.75+013.25", "+40.75-073.75", "+51.25+012.25", None]),
            )
        )
    random.shuffle(entries)
    return entries


HISTORIES = st.integers(0, 10_000_000).map(history)

KINDS: dict[str, st.SearchStrategy[Kind]] = {
    "event_count": st.builds(kinds.event_count, _OPERATORS, st.integers(1, 6), _GROUPS, _SECONDS),
    "value_count": st.builds(kinds.value_count, _OPERATORS, st.integers(1, 4), _GROUPS, _SECONDS),
    "temporal": st.builds(kinds.temporal, st.integers(1, 3), _GROUPS, _SECONDS),
    "temporal_not": st.builds(kinds.temporal_not, _GROUPS, _SECONDS),
    "temporal_ordered": st.builds(kinds.temporal_ordered, _GROUPS, _SECONDS),
    "after_an_alert": st.builds(kinds.after_an_alert, _GROUPS, _SECONDS),
    "first_seen": st.builds(
        kinds.first_seen,
        st.integers(1, 4),
        st.sampled_from([1, 5, 10, 20]),
        _GROUPS.filter(len),
        _SECONDS,
    ),
    "waking": st.builds(kinds.waking, _GROUPS.filter(len), _SECONDS),
    "travel": st.builds(kinds.travel, _GROUPS.filter(len), _SECONDS),
}


def _told(found: Sequence[FoundAlert], groups: Sequence[str]) -> list[Told]:
    return [
        Told(one.completed_by, tuple(one.group[name] for name in groups), one.evidence)
        for one in found
    ]


def _cuts(
    engine: duckdb.DuckDBPyConnection, rule: Rule, moments: Sequence[datetime]
) -> list[FoundAlert]:
    edges = [BEFORE, *sorted(moments), END]
    found = []
    for after, through in pairwise(edges):
        found += evaluate(engine, rule, after, through)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_all_alerts_are_those_of_the_slow_reference(
    engine: duckdb.DuckDBPyConnection, kind: str
) -> None:
    """Over the whole range at once, which goes through the gates."""

    @settings(max_examples=15, deadline=None)
    @given(KINDS[kind], st.lists(HISTORIES, min_size=4, max_size=4))
    def check(one: Kind, histories: list[list[Entry]]) -> None:
        rule = parse_rule(one.text, kind)
        for entries in histories:
            load_trail(engine, entries)
            found = evaluate(engine, rule, BEFORE, END)
            assert _told(found, one.asked.groups) == alerts(one.asked, entries)

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_any_cut_gives_the_alerts_of_the_whole(
    engine: duckdb.DuckDBPyConnection, kind: str
) -> None:
    """A live detector ticks where it likes; ticks look up by name whom they touch."""
    moments = st.lists(
        st.integers(0, 299_999).map(lambda number: START + timedelta(milliseconds=number)),
        max_size=6,
    )

    @settings(max_examples=10, deadline=None)
    @given(KINDS[kind], HISTORIES, moments)
    def check(one: Kind, entries: list[Entry], at: list[datetime]) -> None:
        load_trail(engine, entries)
        rule = parse_rule(one.text, kind)
        ticks = [START + timedelta(seconds=second) for second in range(30, 300, 30)]
        assert _cuts(engine, rule, [*at, *ticks]) == evaluate(engine, rule, BEFORE, END)

    check()


@pytest.mark.parametrize("first", range(0, 10_000, 1000))
def test_a_window_may_lie_across_any_two_buckets_of_a_gate(
    engine: duckdb.DuckDBPyConnection, first: int
) -> None:
    """Four logins in ten seconds, wherever the ten seconds begin."""
    kind = kinds.event_count("gte", 4, ("user_id",), 10)
    times = [START + timedelta(milliseconds=60_000 + first + 3333 * number) for number in range(4)]
    entries = [
        Entry(str(n), EVENTS_LOG, f"{at:%Y-%m-%dT%H:%M:%S}.000Z", n, LOGIN, "done", user_id="u")
        for n, at in enumerate(times)
    ]
    load_trail(engine, entries)
    found = evaluate(engine, parse_rule(kind.text, "four"), BEFORE, END)
    assert [one.completed_by for one in found] == ["3"]


@pytest.mark.parametrize("kind", KINDS)
def test_looking_groups_up_by_name_changes_nothing(
    engine: duckdb.DuckDBPyConnection, kind: str
) -> None:
    """Groups are named, are too many to be named, or were never asked for."""

    @settings(max_examples=10, deadline=None)
    @given(KINDS[kind], HISTORIES)
    def check(one: Kind, entries: list[Entry]) -> None:
        load_trail(engine, entries)
        plan = parse_rule(one.text, kind).plan
        ways = (Run(engine, tick=END - BEFORE), Run(engine, tick=END - BEFORE, named_max=1))
        never_asked = Run(engine, tick=timedelta(0)).alerts(plan, BEFORE, END)
        assert [way.alerts(plan, BEFORE, END) for way in ways] == [never_asked] * 2

    check()


def test_more_alerts_than_anybody_reads_are_an_error(engine: duckdb.DuckDBPyConnection) -> None:
    load_trail(engine, [])
    engine.execute(
        'INSERT INTO trail (ref, "at", seq, type) '
        "SELECT CAST(i AS VARCHAR), TIMESTAMP '2026-03-02', i, 'device.linked.v1' "
        "FROM range(100001) numbers(i)"
    )
    rule = parse_rule(
        "title: all\nlevel: low\nlogsource: {product: device-ledger}\n"
        "detection: {it: {type: device.linked.v1}, condition: it}\n",
        "all",
    )
    with pytest.raises(TooManyAlertsError, match="100001 alerts, 100000 at once are the most"):
        evaluate(engine, rule, BEFORE, END)
