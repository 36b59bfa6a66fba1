"""A labelled history as archives, and the rules' alerts in it: at once, and as they arise."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from device_ledger.simulation.history import busy_day, lines_of
from device_ledger.simulation.population import Population
from device_ledger.simulation.scribe import Line, Scribe
from device_ledger.simulation.story import Label, Story
from device_ledger.wire.codec import PREV_HEADER
from projections.archive.make import write_archive
from projections.archive.reader import text
from projections.archive.tail import Tail
from projections.detection.engine import open_engine
from projections.detection.evaluate import FoundAlert, evaluate
from projections.detection.rules import Rule
from projections.guard import KafkaRecord

SEED = 11
START = datetime(2026, 1, 5, tzinfo=UTC)
QUIET_DAYS = 120
LOOKUPS = 0.4


@dataclass(frozen=True)
class History:
    """Its lines, and what is known of its scenes; all of them are on the last day."""

    lines: list[Line]
    labels: list[Label]
    day: datetime
    end: datetime

    def before(self, moment: datetime) -> list[Line]:
        """The lines that were recorded up to then."""
        return self.lines[: bisect_right(self.lines, text(moment), key=lambda line: line.at)]


def simulated(entries: int, each: int) -> History:
    """Four quiet months, and a day of about so many entries with ``each`` scenes of every kind."""
    phases = busy_day(
        START,
        quiet_days=QUIET_DAYS,
        quiet_entries=entries // 4,
        entries=entries,
        lookup_share=LOOKUPS,
    )
    story = Story(Population(SEED, 3, max(50, entries // 10), 60), phases, each)
    lines = list(lines_of(story, Scribe(SEED, partitions=1), LOOKUPS))
    day = START + timedelta(days=QUIET_DAYS)
    return History(lines, story.labels, day, day + timedelta(days=1))


def archived(lines: Sequence[Line], archive: Path) -> None:
    """Write an archive of these lines."""
    events = (line.value for line in lines if line.log == "events")
    access = (line.value for line in lines if line.log == "access")
    write_archive(archive, events, access, partitions=1)


@contextmanager
def engine(archive: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The engine that rules run on, over this archive."""
    with open_engine([archive], memory="512MB", threads=2, spill=archive / "spill") as connection:
        yield connection


def at_once(archive: Path, rules: Sequence[Rule], history: History) -> list[FoundAlert]:
    """The alerts of the last day, as one replay of it finds them."""
    with engine(archive) as connection:
        tail = Tail(connection, archive)
        return [alert for rule in rules for alert in _found(tail, rule, history.day, history.end)]


def as_they_arise(
    archive: Path, rules: Sequence[Rule], history: History, ticks: Sequence[datetime]
) -> list[FoundAlert]:
    """The alerts of the last day, as the detector finds them: in an archive of the days before,
    with the records of each tick as they come, and one evaluation a tick."""
    found = []
    records = iter(history.lines[len(history.before(history.day)) :])
    held = next(records, None)
    with engine(archive) as connection:
        tail = Tail(connection, archive)
        after = history.day
        for through in ticks:
            arriving: dict[str, list[KafkaRecord]] = {"events": [], "access": []}
            while held is not None and held.at <= text(through):
                arriving[held.log].append(_record(held))
                held = next(records, None)
            tail.take(arriving)
            for rule in rules:
                found += _found(tail, rule, after, through)
            after = through
    return found


def _found(tail: Tail, rule: Rule, after: datetime, through: datetime) -> list[FoundAlert]:
    tail.trail.show(text(after - rule.lookback), text(through))
    return evaluate(tail.trail.connection, rule, after, through)


def _record(line: Line) -> KafkaRecord:
    headers = ((PREV_HEADER, b"%d" % line.prev),) if line.log == "events" else ()
    return KafkaRecord(line.partition, line.offset, None, line.value, headers)
