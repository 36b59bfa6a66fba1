"""An open replay: the archive, what came since, and the rules."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import duckdb

from device_ledger.wire.alerts import AlertRecord
from projections.archive.reader import text
from projections.archive.tail import Tail, read_on, told_plainly
from projections.detection.engine import open_engine
from projections.detection.evaluate import FoundAlert
from projections.detection.rules import Rule, RuleError, load_rules
from projections.detector.feed import TOPICS, open_feed
from projections.detector.session import GRACE, Session
from projections.detector.state import State
from projections.detector.told import Told, raised, read_told
from projections.replay.compare import Comparison, compare
from projections.replay.replaying import Range, Report, TooManyAlertsError, replay
from projections.threads import finish_in_thread

MEMORY = "512MB"
YOUNG = GRACE + timedelta(seconds=3)
"""What is younger may still be on its way, or its alerts are."""
_WITHIN = 0.5
_INTERRUPT_SECONDS = 0.2
_FORGET_SECONDS = 10.0

T = TypeVar("T")


class ReplayError(RuntimeError):
    """A replay can't be made; the message says why."""


EXPECTED = (ReplayError, TooManyAlertsError)
"""What ends a replay with one line that says why."""


@dataclass(frozen=True, slots=True)
class RuleList:
    """Rules that stay as they are."""

    rules: Sequence[Rule]
    failing: dict[str, str]


class Replay:
    """Rules over a trail; with ``brokers`` what is on Kafka belongs to it."""

    def __init__(
        self,
        tail: Tail,
        rules: Sequence[Rule],
        brokers: str | None,
        bank_id: str | None,
        read_at: datetime,
    ) -> None:
        """``read_at`` is when the ends of the topics were asked for, up to which they were read."""
        self._tail = tail
        self._rules = rules
        self._brokers = brokers
        self._bank_id = bank_id
        self._read_at = read_at

    async def over(self, asked: Range, report: Report) -> Comparison:
        """Replay a range, and compare with the alerts of then.

        Raises:
            EXPECTED: why it can't be.
            CancelledError: it was cancelled; what was running is interrupted.
        """
        then = await read_told(self._brokers) if self._brokers else Told()
        if self._brokers:
            ripe = text(self._read_at - YOUNG)
            asked = Range(asked.start, min(asked.end, ripe))
        if asked.start >= asked.end:
            raise ReplayError("there is nothing to replay: the time is not over yet, or empty")
        trail, rules = self._tail.trail, self._rules

        def run() -> Comparison:
            replayed = replay(trail, rules, asked, report)
            names = [rule.name for rule in rules]
            return compare(trail, asked, names, replayed, then, bank_id=self._bank_id)

        return await self._interruptible(run)

    async def follow(self, since: str, show: Callable[[FoundAlert], None]) -> None:
        """Evaluate what comes from a time on, until cancelled.

        Raises:
            ReplayError: the topics can't be read on.
        """
        assert self._brokers is not None  # noqa: S101 - there is nothing to follow without
        before = text(Range(since, since).after)

        shown: dict[str, AlertRecord] = {}

        async def tell(source: str, found: Sequence[FoundAlert], *_: object) -> None:
            shown.update((record.id, record) for record in raised(source, found))
            for alert in found:
                show(alert)

        async def told_since(_: datetime) -> Told:
            return Told(shown)

        session = Session(
            self._tail,
            RuleList(self._rules, {}),
            tell=tell,
            told_since=told_since,
            state=State(passed=dict.fromkeys(TOPICS, before), seen={}, alerts=0),
            told=Told(),
            save=lambda _: None,
        )
        with told_plainly(ReplayError):
            async with open_feed(self._brokers, self._tail.next_offsets()) as feed:
                clock = asyncio.get_running_loop().time
                forgot_at = clock()
                while True:
                    await session.take(await feed.next(_WITHIN))
                    if clock() - forgot_at >= _FORGET_SECONDS:
                        forgot_at = clock()
                        archived = await finish_in_thread(self._tail.archived)
                        await finish_in_thread(session.forget, archived)

    async def _interruptible(self, function: Callable[[], T]) -> T:
        running = asyncio.ensure_future(asyncio.to_thread(function))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            while not running.done():
                self._tail.trail.connection.interrupt()
                await asyncio.wait([running], timeout=_INTERRUPT_SECONDS)
            running.exception()
            raise
        except duckdb.Error as error:
            raise ReplayError(f"the rules can't be evaluated: {_first_line(error)}") from error


@asynccontextmanager
async def open_replay(
    archive: Path,
    rules: Sequence[Path],
    *,
    brokers: str | None,
    spill: Path,
    bank_id: str | None = None,
) -> AsyncIterator[Replay]:
    """Open the archive and, with ``brokers``, read what the topics have beyond it.

    Raises:
        ReplayError: a rule can't be used, there is no archive, or Kafka doesn't answer.
    """
    try:
        loaded = await finish_in_thread(load_rules, rules)
    except RuleError as error:
        raise ReplayError(str(error)) from error
    if not loaded:
        raise ReplayError("there are no rules to replay")
    try:
        with (
            told_plainly(ReplayError),
            open_engine([archive], memory=MEMORY, threads=2, spill=spill) as engine,
        ):
            tail = Tail(engine, archive, bank_id=bank_id)
            read_at = datetime.now(UTC)
            if brokers:
                await read_on(tail, brokers)
            yield Replay(tail, loaded, brokers, bank_id, read_at)
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
