"""Evaluates rules over a range of the trail, in slices of time, and counts what it reads."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from projections.archive.reader import MOMENT, text
from projections.archive.trail import Trail
from projections.detection.evaluate import FoundAlert, evaluate
from projections.detection.rules import Rule

SLICE_ENTRIES = 2_000_000
"""Entries that are evaluated at once, where a rule doesn't look back further."""
ALERTS_MAX = 50_000
"""Alerts from which a replay is of no use any more."""


class TooManyAlertsError(RuntimeError):
    """The rules raise more alerts than anyone can look at."""


@dataclass(frozen=True, slots=True)
class Progress:
    """``read`` of ``total`` entries, each counted once a rule; ``rule`` is the one that is run."""

    read: int
    total: int
    per_second: float
    seconds_left: float | None
    rule: str


Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Range:
    """``start <= at < end``, both RFC 3339 in UTC with milliseconds."""

    start: str
    end: str

    @property
    def after(self) -> datetime:
        """The last moment before it."""
        return datetime.fromisoformat(self.start).astimezone(UTC) - MOMENT

    @property
    def through(self) -> datetime:
        """Its last moment."""
        return datetime.fromisoformat(self.end).astimezone(UTC) - MOMENT

    def holds(self, at: str) -> bool:
        """Whether a recorded time is in it."""
        return self.start <= at < self.end


def replay(
    trail: Trail, rules: Sequence[Rule], asked: Range, report: Report
) -> tuple[int, list[FoundAlert]]:
    """The entries of the range, and the alerts that the rules raise in it, in order of their time.

    Raises:
        TooManyAlertsError: they are too many.
        duckdb.InterruptException: the connection was interrupted.
        duckdb.Error: a rule needs more memory and spill space than there is.
    """
    trail.show(asked.start, asked.end)
    entries = trail.count(text(asked.after), text(asked.through))
    meter = _Meter(entries * len(rules), report)
    found: list[FoundAlert] = []
    for rule in rules:
        meter.begin(rule.name)
        for after, through in _slices(asked, entries, rule.lookback):
            trail.show(text(after - rule.lookback), text(through))
            found += evaluate(trail.connection, rule, after, through)
            if len(found) > ALERTS_MAX:
                raise TooManyAlertsError(
                    f"{rule.name} and the rules before it raise more than {ALERTS_MAX:,} alerts by"
                    f" {text(through)}: narrow the rules or the time"
                )
            meter.add(trail.count(text(after), text(through)))
    return entries, sorted(found, key=lambda alert: (alert.at, alert.rule, alert.id))


def _slices(asked: Range, entries: int, lookback: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """Ranges of so many entries, if they came evenly, and no shorter than what each looks back:
    what is read twice is at most as much as what is read once."""
    start, end = asked.after, asked.through
    least = (end - start) / max(1, -(-entries // SLICE_ENTRIES))
    length = max(least, lookback, MOMENT)
    while start < end:
        until = min(start + length, end)
        yield start, until
        start = until


class _Meter:
    """Counts entries, and tells how fast they are read."""

    def __init__(self, total: int, report: Report) -> None:
        self._total = total
        self._report = report
        self._read = 0
        self._rule = ""
        self._begun = time.monotonic()

    def begin(self, rule: str) -> None:
        self._rule = rule
        self.add(0)

    def add(self, entries: int) -> None:
        self._read += entries
        seconds = time.monotonic() - self._begun
        rate = self._read / seconds if seconds else 0.0
        left = (self._total - self._read) / rate if rate else None
        self._report(Progress(self._read, self._total, rate, left, self._rule))
