"""One session of the detector: rules run on what comes, until something is wrong."""

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import duckdb

from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from projections.archive.reader import BEGINNING, MOMENT, text
from projections.archive.rows import ArchiveRow
from projections.archive.tail import Tail
from projections.detection.evaluate import FoundAlert, evaluate
from projections.detection.plan import Matching, OfAlerts, Windowed
from projections.detection.rules import Rule
from projections.detector.feed import Arrived
from projections.detector.moved import untold
from projections.detector.state import State
from projections.detector.told import Told
from projections.threads import finish_in_thread

GRACE = timedelta(seconds=3)
"""How long an access record may be on its way to its topic after the time that it carries."""
SLICE = timedelta(hours=6)
"""What is evaluated at once where much was missed."""
PAUSE_SECONDS = 0.5
"""Least time between two evaluations."""
SAVE_SECONDS = 5.0
HELD = timedelta(hours=1)
"""What stays in memory though it is archived, so that rules of short windows read no file."""
HELD_LINES = 300_000

_LOGS = {EVENTS_LOG: (EVENTS_LOG,), ACCESS_LOG: (EVENTS_LOG, ACCESS_LOG)}
"""The groups of rules, by the log that has to be complete for them, and the logs that they read."""

log = logging.getLogger(__name__)


Tell = Callable[[str, Sequence[FoundAlert], Sequence[str], str], Awaitable[int | None]]
"""Tells alerts and late records, as `Teller.tell` does."""
ToldSince = Callable[[datetime], Awaitable[Told]]
"""What was told since a time, as `read_told` reads it."""


class Late(NamedTuple):
    """An entry of a log that came after its time was passed."""

    log: str
    at: str


class Rules(Protocol):
    """The rules to run, as they are at the moment, and why others can't be."""

    @property
    def rules(self) -> Sequence[Rule]:
        """Those to run."""

    @property
    def failing(self) -> Mapping[str, str]:
        """Why others can't be, by file."""


class Session:
    """Evaluates, tells, and remembers that it did; what was told before is not told again."""

    def __init__(
        self,
        tail: Tail,
        book: Rules,
        *,
        tell: Tell,
        told_since: ToldSince,
        state: State,
        told: Told,
        save: Callable[[State], None],
    ) -> None:
        self._tail = tail
        self._book = book
        self._tell_all = tell
        self._told_since = told_since
        self._state = state
        self._told = told
        self._save_state = save
        self._late: dict[str, Late] = {}
        self._alerts_end = state.alerts
        self._evaluated_at = self._saved_at = time.monotonic()
        self._through: dict[str, str] = {}

    def begin(self) -> None:
        """Find what came late while it was archived and no detector was there to see it."""
        for name, passed in self._state.passed.items():
            since = self._state.seen.get(name, {})
            if since:
                for ref, at in self._tail.trail.recorded_by(name, passed, since):
                    self._late[ref] = Late(name, at)

    async def take(self, arrived: Arrived) -> None:
        """Take what came, and evaluate what is complete.

        Raises:
            TailBrokenError, HistoryChangedError: it doesn't follow what was there.
            KafkaError: alerts may not be on the topic.
            duckdb.IOException: a file of the archive can't be read.
        """
        if arrived.records:
            self._note_late(await finish_in_thread(self._tail.take, arrived.records))
        if self._late:
            await self._tell_late()
        if arrived.through and arrived.asked:
            on_its_way = text(arrived.asked - GRACE)
            self._through[EVENTS_LOG] = arrived.through
            self._through[ACCESS_LOG] = min(arrived.through, on_its_way)
        now = time.monotonic()
        if self._through and now - self._evaluated_at >= PAUSE_SECONDS:
            self._evaluated_at = now
            for group in _LOGS:
                await self._catch_up(group)
        if now - self._saved_at >= SAVE_SECONDS:
            await self._save()

    def forget(self, archived: Mapping[str, Mapping[int, int]]) -> None:
        """Keep in memory only what is young or not archived yet."""
        trail = self._tail.trail
        before = BEGINNING
        if self._through:
            before = text(_moment(self._through[EVENTS_LOG]) - HELD)
        if trail.size() > HELD_LINES:
            before = max(before, trail.nth_newest(HELD_LINES // 2))
        trail.forget(archived, before)

    def unarchived(self, archived: Mapping[str, Mapping[int, int]]) -> int:
        """Kafka records that came and are not archived yet."""
        return sum(
            offset - archived[name].get(partition, 0)
            for name, of_partition in self._tail.next_offsets().items()
            for partition, offset in of_partition.items()
        )

    def _note_late(self, rows: Sequence[ArchiveRow]) -> None:
        for row in rows:
            passed = self._state.passed.get(row.entry.log, "")
            seen = self._state.seen.get(row.entry.log, {}).get(row.partition, 0)
            if row.entry.at <= passed and row.offset >= seen:
                self._late[row.entry.ref] = Late(row.entry.log, row.entry.at)

    async def _catch_up(self, group: str) -> None:
        through = self._through[group]
        passed = self._state.passed.get(group)
        if passed is None:
            log.info("rules of the group %s begin at %s", group, through)
            self._state.passed[group] = through
            # Else a crash now would let it begin later, behind what it has to tell.
            await self._save()
            return
        if passed >= through:
            return
        if not self._tail.trail.has_between(passed, through, *_LOGS[group]):
            self._state.passed[group] = through
            return
        rules = self._rules_of(group)
        for after, until in _slices(passed, through):
            # Files take time to read: what is found without them is told before.
            for same in self._by_reach(rules, after):
                await self._tell(await finish_in_thread(self._evaluate, same, after, until))
            self._state.passed[group] = until
            await self._save()

    async def _tell_late(self) -> None:
        """Tell what came late, and the alerts that only come of it: all at once, so that whoever
        is stopped before finds it late again."""
        since = _moment(min(late.at for late in self._late.values()))
        before = text(since - MOMENT)
        logs = {late.log for late in self._late.values()}
        found: list[FoundAlert] = []
        for group, passed in self._state.passed.items():
            if logs.isdisjoint(_LOGS[group]):
                continue
            rules = self._rules_of(group)
            for after, until in _slices(before, passed):
                found += await finish_in_thread(self._evaluate, rules, after, until)
        told = await self._told_since(since)
        await self._tell(untold(found, told.alerts.values(), before))
        await self._save()

    def _rules_of(self, group: str) -> list[Rule]:
        return [rule for rule in self._book.rules if rule.reads_access == (group == ACCESS_LOG)]

    def _by_reach(self, rules: Sequence[Rule], after: str) -> tuple[list[Rule], list[Rule]]:
        """The rules that need nothing but memory, and those that look back into files."""
        parts: tuple[list[Rule], list[Rule]] = ([], [])
        for rule in rules:
            parts[not self._tail.trail.holds(_back(after, rule))].append(rule)
        return parts

    def _evaluate(self, rules: Sequence[Rule], after: str, through: str) -> list[FoundAlert]:
        found: list[FoundAlert] = []
        for rule in rules:
            if not self._tail.trail.has_any(after, through, predicates(rule.plan)):
                continue
            self._tail.trail.show(_back(after, rule), through)
            try:
                found += evaluate(
                    self._tail.trail.connection, rule, _moment(after), _moment(through)
                )
            except duckdb.IOException:
                raise
            except duckdb.Error as error:
                self._fail(rule, after, through, error)
            else:
                if self._state.failing.pop(rule.name, None):
                    log.warning("rule %s is run again from %s", rule.name, after)
        return found

    def _fail(self, rule: Rule, after: str, through: str, error: duckdb.Error) -> None:
        reason = f"can't be evaluated from {after} to {through}: {type(error).__name__}"
        if rule.name not in self._state.failing:
            log.error("rule %s %s", rule.name, reason)
        self._state.failing[rule.name] = reason

    async def _tell(self, found: Sequence[FoundAlert]) -> None:
        """Tell what was not told. It is remembered as told with the time that is passed then."""
        new = [alert for alert in found if alert.id not in self._told.alerts]
        late = [ref for ref in self._late if ref not in self._told.late]
        passed = max(self._state.passed.values(), default="")
        end = await self._tell_all(self._tail.source, new, late, passed)
        self._late.clear()
        for alert in new:
            log.info("rule %s: alert %s at %s", alert.rule, alert.id, alert.at)
        if late:
            log.warning("%d records came late", len(late))
        if end is not None:
            self._alerts_end = end

    async def _save(self) -> None:
        self._saved_at = time.monotonic()
        self._state.alerts = self._alerts_end
        self._state.seen = self._tail.next_offsets()
        names = sorted(rule.name for rule in self._book.rules)
        failing = {
            name: reason for name, reason in self._state.failing.items() if name in names
        } | dict(self._book.failing)
        self._state = replace(self._state, rules=names, failing=failing)
        await finish_in_thread(self._save_state, self._state)


def predicates(node: Matching | Windowed) -> list[str]:
    """What an entry must be one of to have a part in the node's alerts, as SQL over the trail."""
    if isinstance(node, Matching):
        return [node.predicate]
    inner = (
        source.node if isinstance(source, OfAlerts) else source.matching for source in node.sources
    )
    return [predicate for one in inner for predicate in predicates(one)]


def _slices(after: str, through: str) -> Iterator[tuple[str, str]]:
    end = _moment(through)
    start = _moment(after)
    while start < end:
        until = min(start + SLICE, end)
        yield text(start), text(until)
        start = until


def _back(after: str, rule: Rule) -> str:
    return text(_moment(after) - rule.lookback)


def _moment(at: str) -> datetime:
    return datetime.fromisoformat(at).astimezone(UTC)
