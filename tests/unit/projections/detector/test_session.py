"""What a session tells, when it remembers that it did, and what it calls late."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from device_ledger.wire.alerts import ALERT_RAISED, AlertRecord
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from projections.archive.models import ACCESS_ARCHIVE, EVENTS_ARCHIVE
from projections.archive.tail import Tail
from projections.detection.engine import open_engine
from projections.detection.evaluate import FoundAlert, evaluate
from projections.detection.rules import Rule
from projections.detector import session as session_module
from projections.detector.feed import Arrived
from projections.detector.rulebook import RuleBook
from projections.detector.session import Session
from projections.detector.state import State, load_state
from projections.detector.told import Told
from projections.guard import KafkaRecord
from tests.samples import events
from tests.samples.accesses import flush, looked_up
from tests.samples.small_rules import LINKS as LINKS_RULE
from tests.samples.small_rules import write_rules
from tests.support.archiving import feed

LINKS = events.on_partitions([events.linked(number) for number in range(1, 10)], 3)
LATER = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluate whenever something came."""
    monkeypatch.setattr(session_module, "PAUSE_SECONDS", 0.0)


@dataclass
class Detecting:
    """A session on an archive, and what it told; ``again`` is the next one after a crash."""

    home: Path
    engine: duckdb.DuckDBPyConnection
    told: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    ids: dict[str, AlertRecord] = field(default_factory=dict)
    broken: bool = False
    forgetful: bool = False

    def __post_init__(self) -> None:
        self.tail = Tail(self.engine, self.home / "archive")
        self.book = RuleBook(write_rules(self.home / "rules"))
        self.book.refresh()
        state = load_state(self.home / "archive") or State(passed={}, seen={}, alerts=0)
        known = Told(alerts=self.ids, late=dict.fromkeys(self.late, ""))
        self.session = Session(
            self.tail,
            self.book,
            tell=self._tell,
            told_since=self._told_since,
            state=state,
            told=known,
            save=self._save,
        )
        self.session.begin()

    async def _tell(
        self, _: str, alerts: Sequence[FoundAlert], late: Sequence[str], __: str
    ) -> int | None:
        if self.broken:
            raise ConnectionError("Kafka is away")
        self.told += [f"{one.rule} {one.completed_by}" for one in alerts]
        self.ids |= {
            one.id: AlertRecord(one.id, "", ALERT_RAISED, one.at, dict(one.data()))
            for one in alerts
        }
        self.late += late
        return len(self.told) or None

    async def _told_since(self, at: datetime) -> Told:
        since = at.replace(tzinfo=None).isoformat()
        return Told({key: one for key, one in self.ids.items() if one.time >= since})

    def _save(self, state: State) -> None:
        if not self.forgetful:
            state.save(self.home / "archive")

    async def take(
        self,
        *,
        through: int,
        events: Sequence[KafkaRecord] = (),
        access: Sequence[KafkaRecord] = (),
        asked: datetime = LATER,
    ) -> None:
        """Let these come; no event is due any more of up to so many seconds after ``T0``."""
        records = {EVENTS_LOG: list(events), ACCESS_LOG: list(access)}
        kept = {log: held for log, held in records.items() if held}
        await self.session.take(Arrived(kept, at(through), asked))

    def again(self) -> "Detecting":
        """A new session from what was saved, with what is on the alerts topic."""
        self.engine.execute("DROP TABLE tail")
        return Detecting(self.home, self.engine, self.told, self.late, self.ids)


def at(second: int) -> str:
    return events.at(second)


@pytest.fixture
def detecting(tmp_path: Path) -> Iterator[Detecting]:
    """A session on an empty archive, with a rule on links and one on misses; it has begun."""
    archive = tmp_path / "archive"
    feed(archive, EVENTS_ARCHIVE, [])
    feed(archive, ACCESS_ARCHIVE, [])
    with open_engine([archive], memory="256MB", threads=1, spill=tmp_path / "spill") as engine:
        yield Detecting(tmp_path, engine)


def placed(records: Sequence[KafkaRecord], first: int = 0) -> list[KafkaRecord]:
    """Records one after the other on one partition."""
    return [record._replace(offset=first + n) for n, record in enumerate(records)]


LINKS_IN_PLACE = placed(LINKS)
MISSES = placed([flush(looked_up(number, outcome="not-found")) for number in range(1, 10)])


async def test_it_begins_with_what_comes(detecting: Detecting) -> None:
    await detecting.take(through=5, events=LINKS_IN_PLACE[:5])
    await detecting.take(through=5)
    assert detecting.told == []


async def test_where_it_begins_is_remembered_at_once(detecting: Detecting) -> None:
    await detecting.take(through=0)
    again = detecting.again()
    await again.take(through=9, events=LINKS_IN_PLACE)
    assert again.told == ["links 3"]


async def test_an_alert_is_told_in_the_moment_that_completes_it_and_once(
    detecting: Detecting,
) -> None:
    await detecting.take(through=0)
    await detecting.take(through=2, events=LINKS_IN_PLACE[:4])
    assert detecting.told == []
    await detecting.take(through=3)
    assert detecting.told == ["links 3"]
    await detecting.take(through=9, events=LINKS_IN_PLACE[4:])
    assert detecting.told == ["links 3"]


async def test_access_records_are_waited_for_three_seconds(detecting: Detecting) -> None:
    start = datetime.fromisoformat(at(0)).astimezone(UTC)
    await detecting.take(through=0, asked=start)
    await detecting.take(through=9, access=MISSES, asked=start + timedelta(seconds=5))
    assert detecting.told == []
    await detecting.take(through=9, asked=start + timedelta(seconds=6))
    assert detecting.told == [f"misses {looked_up(3).id}"]


async def test_what_was_told_but_not_remembered_is_not_told_again(detecting: Detecting) -> None:
    await detecting.take(through=0)
    detecting.forgetful = True
    await detecting.take(through=5, events=LINKS_IN_PLACE)
    assert detecting.told == ["links 3"]
    again = detecting.again()
    await again.take(through=5, events=LINKS_IN_PLACE)
    assert again.told == ["links 3"]


async def test_what_could_not_be_told_is_told_by_the_next_session(detecting: Detecting) -> None:
    await detecting.take(through=0)
    detecting.broken = True
    with pytest.raises(ConnectionError):
        await detecting.take(through=5, events=LINKS_IN_PLACE)
    again = detecting.again()
    await again.take(through=5, events=LINKS_IN_PLACE)
    assert again.told == ["links 3"]


async def test_what_was_missed_is_evaluated_first_from_the_archive(detecting: Detecting) -> None:
    await detecting.take(through=0)
    feed(detecting.home / "archive", EVENTS_ARCHIVE, LINKS_IN_PLACE)
    again = detecting.again()
    await again.take(through=9)
    assert again.told == ["links 3"]


async def test_an_alert_waits_for_no_rule_that_reads_files(
    detecting: Detecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is not told again where the session ends before those are done."""
    told = [events.linked(number) for number in range(1, 10)]
    old = told[0]._replace(time="2026-01-30T09:30:00.000Z")
    records = events.on_partitions([old, *told[1:]], 3)
    feed(detecting.home / "archive", EVENTS_ARCHIVE, records[:1])
    month = LINKS_RULE.replace("timespan: 1h", "timespan: 30d")
    write_rules(detecting.home / "rules", links=LINKS_RULE, a_month=month)
    again = detecting.again()
    await again.take(through=0)
    with monkeypatch.context() as patch:
        patch.setattr(session_module, "evaluate", _ended_at("a_month"))
        with pytest.raises(duckdb.IOException):
            await again.take(through=9, events=records[1:])
    assert again.told == ["links 4"]
    last = again.again()
    await last.take(through=9, events=records[1:])
    assert last.told == ["links 4", "a_month 3"]


def _ended_at(name: str) -> Callable[..., object]:
    """Evaluates as ever, but a rule of that name finds the archive gone."""

    def ended(connection: duckdb.DuckDBPyConnection, rule: Rule, *times: datetime) -> object:
        if rule.name == name:
            raise duckdb.IOException("gone")
        return evaluate(connection, rule, *times)

    return ended


async def test_a_record_of_a_time_that_was_passed_is_late(detecting: Detecting) -> None:
    await detecting.take(through=5)
    await detecting.take(through=5, events=LINKS_IN_PLACE[:6])
    assert detecting.late == ["1", "2", "3", "4", "5"]
    await detecting.take(through=9, events=LINKS_IN_PLACE[6:])
    assert detecting.late == ["1", "2", "3", "4", "5"]


async def test_what_came_in_time_is_not_late_after_a_restart(detecting: Detecting) -> None:
    await detecting.take(through=0)
    await detecting.take(through=9, events=LINKS_IN_PLACE, access=MISSES)
    again = detecting.again()
    await again.take(through=9, events=LINKS_IN_PLACE, access=MISSES)
    assert again.late == []


async def test_what_came_late_while_it_was_away_is_told_once(detecting: Detecting) -> None:
    await detecting.take(through=0)
    await detecting.take(through=9, events=LINKS_IN_PLACE[:3])
    feed(detecting.home / "archive", EVENTS_ARCHIVE, LINKS_IN_PLACE)
    again = detecting.again()
    await again.take(through=9)
    assert again.late == ["4", "5", "6", "7", "8", "9"]
    third = again.again()
    await third.take(through=9)
    assert third.late == again.late


async def test_what_came_late_completes_its_alert_all_the_same(detecting: Detecting) -> None:
    await detecting.take(through=9, events=LINKS_IN_PLACE)
    await detecting.take(through=9, access=MISSES[:2])
    await detecting.take(through=9, access=MISSES[2:5])
    assert detecting.told == [f"misses {looked_up(3).id}"]
    assert detecting.late == [looked_up(number).id for number in range(1, 6)]


async def test_it_does_so_once_though_the_process_ends_in_between(detecting: Detecting) -> None:
    await detecting.take(through=9)
    for moment in "broken", "forgetful":
        setattr(detecting, moment, True)
        with suppress(ConnectionError):
            await detecting.take(through=9, access=MISSES[:3])
        feed(detecting.home / "archive", ACCESS_ARCHIVE, MISSES[:3])
        detecting = detecting.again()
    await detecting.take(through=9)
    assert detecting.told == [f"misses {looked_up(3).id}"]
    assert detecting.late == [looked_up(number).id for number in range(1, 4)]


async def test_an_alert_that_moves_by_what_came_late_is_not_told_again(
    detecting: Detecting,
) -> None:
    await detecting.take(through=0)
    await detecting.take(through=9, access=MISSES[1:])
    await detecting.take(through=9, access=placed(MISSES[:1], first=9))
    assert detecting.late == [looked_up(1).id]
    assert detecting.told == [f"misses {looked_up(4).id}"]


async def test_a_repeat_is_not_late(detecting: Detecting) -> None:
    await detecting.take(through=0)
    await detecting.take(through=9, access=MISSES)
    await detecting.take(through=9, access=placed([MISSES[0]], first=9))
    assert detecting.late == []


async def test_a_rule_that_fails_stops_no_other(
    detecting: Detecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(connection: duckdb.DuckDBPyConnection, rule: object, *times: datetime) -> object:
        if getattr(rule, "name", "") == "misses":
            raise duckdb.OutOfMemoryException("no room")
        return evaluate(connection, rule, *times)  # type: ignore[arg-type]

    monkeypatch.setattr(session_module, "evaluate", failing)
    await detecting.take(through=0)
    await detecting.take(through=9, events=LINKS_IN_PLACE, access=MISSES)
    assert detecting.told == ["links 3"]
    state = load_state(detecting.home / "archive")
    assert state is not None
    assert list(state.failing) == ["misses"]


async def test_a_rule_that_can_be_run_again_is_failing_no_more(
    detecting: Detecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> object:
        raise duckdb.OutOfMemoryException("no room")

    await detecting.take(through=0)
    with monkeypatch.context() as short_of_memory:
        short_of_memory.setattr(session_module, "evaluate", failing)
        await detecting.take(through=2, events=LINKS_IN_PLACE[:2])
    before = load_state(detecting.home / "archive")
    await detecting.take(through=9, events=LINKS_IN_PLACE[2:])
    after = load_state(detecting.home / "archive")
    assert before is not None
    assert after is not None
    assert (list(before.failing), after.failing) == (["links"], {})


async def test_memory_is_bounded_also_before_the_relay_tells_anything(
    detecting: Detecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "HELD_LINES", 4)
    await detecting.session.take(Arrived({ACCESS_LOG: MISSES}))
    feed(detecting.home / "archive", ACCESS_ARCHIVE, MISSES)
    detecting.session.forget(detecting.tail.archived())
    assert detecting.tail.trail.size() == 2


def test_state_is_what_was_saved(tmp_path: Path) -> None:
    state = State({"events": at(1)}, {"events": {0: 5}, "access": {}}, 7, ["links"], {"a.yml": "b"})
    state.save(tmp_path)
    assert load_state(tmp_path) == state
    replace(state, alerts=8).save(tmp_path)
    assert load_state(tmp_path) == replace(state, alerts=8)
