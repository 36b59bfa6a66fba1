"""A replay gives the alerts of then however it is cut, and says what is new, gone and the same."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from device_ledger.wire.alerts import ALERT_RAISED, AlertRecord, Late, encode
from device_ledger.wire.alerts import RECORDS_LATE as LATE_TYPE
from projections.archive.make import write_archive
from projections.archive.tail import Tail
from projections.archive.trail import Trail
from projections.detection.engine import open_engine
from projections.detection.evaluate import FoundAlert
from projections.detection.rules import Rule, load_rules
from projections.detector.told import Told
from projections.replay import replaying
from projections.replay.compare import compare
from projections.replay.replaying import Progress, Range, TooManyAlertsError, replay
from tests.samples import events
from tests.samples.small_rules import LINKS, write_rules

SECONDS = range(1, 121)
HISTORY = [
    events.linked(number, device=f"device-{number}", userId=f"user-{number % 20}", bankId=bank)
    for number in SECONDS
    for bank in ["bank-a" if number % 20 < 10 else "bank-b"]
]
BEFORE = "2026-01-31T09:29:00.000Z"
WHOLE = Range(events.at(0), events.at(121))
SHORT = LINKS.replace("timespan: 1h", "timespan: 45s")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of links of twenty users, one a second: each has another every 20 s."""
    made = tmp_path / "archive"
    write_archive(made, [events.value_of(event) for event in HISTORY])
    return made


@pytest.fixture
def trail(tmp_path: Path, archive: Path) -> Iterator[Trail]:
    """The trail of the archive."""
    with open_engine([archive], memory="256MB", threads=1, spill=tmp_path / "spill") as engine:
        yield Tail(engine, archive).trail


@pytest.fixture
def rules(tmp_path: Path) -> list[Rule]:
    """Three links of a user within 45 s, and within an hour."""
    return load_rules([write_rules(tmp_path / "rules", short=SHORT, long=LINKS)])


def run(trail: Trail, rules: list[Rule], asked: Range = WHOLE) -> list[FoundAlert]:
    return replay(trail, rules, asked, lambda _: None)[1]


def record(alert: FoundAlert) -> AlertRecord:
    """The alert as it was told."""
    return AlertRecord(alert.id, "urn:test", ALERT_RAISED, alert.at, dict(alert.data()))


def test_each_user_alerts_at_the_third_link(trail: Trail, rules: list[Rule]) -> None:
    assert [(one.rule, one.completed_by) for one in run(trail, rules)] == [
        (rule, str(number)) for number in range(41, 61) for rule in ("long", "short")
    ]


@pytest.mark.parametrize("entries", [1, 7, 50, 1000])
def test_slices_change_nothing(
    trail: Trail, rules: list[Rule], entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(trail, rules)
    monkeypatch.setattr(replaying, "SLICE_ENTRIES", entries)
    assert run(trail, rules) == whole


@pytest.mark.parametrize("cut", [1, 40, 41, 42, 55, 120])
def test_two_ranges_give_what_one_gives(trail: Trail, rules: list[Rule], cut: int) -> None:
    first = run(trail, rules, Range(WHOLE.start, events.at(cut)))
    second = run(trail, rules, Range(events.at(cut), WHOLE.end))
    assert first + second == run(trail, rules)


def test_progress_counts_each_entry_once_a_rule(
    trail: Trail, rules: list[Rule], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "SLICE_ENTRIES", 50)
    seen: list[Progress] = []
    entries, _ = replay(trail, rules, WHOLE, seen.append)
    assert entries == len(HISTORY)
    assert [one.total for one in seen] == [2 * entries] * len(seen)
    assert [one.read for one in seen] == sorted(one.read for one in seen)
    assert (seen[0].read, seen[-1].read) == (0, 2 * entries)
    assert {one.rule for one in seen} == {"long", "short"}


def test_rules_that_fire_too_often_end_it(
    trail: Trail, rules: list[Rule], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "ALERTS_MAX", 20)
    with pytest.raises(TooManyAlertsError, match="more than 20 alerts"):
        run(trail, rules)


def test_it_is_compared_with_the_alerts_of_these_rules_and_this_time(
    trail: Trail, rules: list[Rule]
) -> None:
    entries, found = replay(trail, rules, WHOLE, lambda _: None)
    then = Told()
    gone = AlertRecord(
        "gone", "urn:test", ALERT_RAISED, "", dict(found[0].data()) | {"at": events.at(9)}
    )
    other = AlertRecord("other", "urn:test", ALERT_RAISED, "", gone.data | {"rule": "another"})
    before = AlertRecord("before", "urn:test", ALERT_RAISED, "", gone.data | {"at": BEFORE})
    late = Late(count=3, refs=["7", "120", "999"], passed=events.at(50))
    for one in (*map(record, found[:5]), gone, other, before):
        then.take(encode(one))
    then.take(encode(AlertRecord("late", "urn:test", LATE_TYPE, "", dict(late))))
    then.take(b"nothing of ours")
    names = [rule.name for rule in rules]
    told = compare(trail, WHOLE, names, (entries, found), then, bank_id=None).told()
    assert told["counts"] == {"new": len(found) - 5, "gone": 1, "same": 5}
    assert [one["was"] for one in told["alerts"]] == ["same"] * 5 + ["new"] * (len(found) - 5)
    assert [one["id"] for one in told["gone"]] == ["gone"]
    assert told["late"] == {"count": 2, "refs": ["7", "120"]}
    assert (told["from"], told["to"], told["rules"]) == (WHOLE.start, WHOLE.end, names)


def test_a_bank_compares_with_the_alerts_of_its_own(
    tmp_path: Path, archive: Path, trail: Trail, rules: list[Rule]
) -> None:
    then = Told()
    for one in run(trail, rules):
        then.take(encode(record(one)))
    with open_engine([archive], memory="256MB", threads=1, spill=tmp_path / "other") as engine:
        own = Tail(engine, archive, bank_id="bank-a").trail
        replayed = replay(own, rules, WHOLE, lambda _: None)
        told = compare(
            own, WHOLE, [rule.name for rule in rules], replayed, then, bank_id="bank-a"
        ).told()
    assert told["entries"] == 60
    assert told["counts"] == {"new": 0, "gone": 0, "same": 20}


def test_a_range_holds_its_start_and_not_its_end() -> None:
    asked = Range(events.at(1), events.at(2))
    assert [asked.holds(events.at(second)) for second in range(4)] == [False, True, False, False]
    assert asked.through - asked.after == timedelta(seconds=1)
