"""A read model of a process's own: a plain consumer feeds it, and no group knows of it.

It stands on the same projector, guard and bulk reading as those of the stream workers.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from projections.dead_letters import DeadLetters, letter_of
from projections.guard import Malformed, Standing
from projections.live import LiveProjector
from projections.model import ReadModel
from projections.store import Store
from projections.topic import KAFKA_ERRORS, Reading, Topic, TopicMissingError

log = logging.getLogger(__name__)

CURRENT_SECONDS = 10.0
"""After so long without having shown what was on the topic, the replica is no longer current."""

_EVERY = 1.0
"""Seconds between two comparisons with the topic's ends, and between two tries to reach Kafka."""

_LOOK_SECONDS = 5.0
"""How long a comparison may take; Kafka's client would wait for 40 s."""


_AWAY: tuple[type[Exception], ...] = (*KAFKA_ERRORS, TimeoutError)


class LedgerChangedError(RuntimeError):
    """The topic tells of another ledger or epoch than when the process began."""


class PassedBy(DeadLetters):
    """Where a replica leaves what can't be applied: the workers park it, one time for all."""

    def __init__(self) -> None:
        super().__init__("")

    async def park(self, model: ReadModel, found: Sequence[Malformed]) -> None:
        """Tell where they lie."""
        for one in found:
            letter = letter_of(model, one)
            log.error("%s passes %s by: %s", model.name, letter.place, letter.reason)


class Replica:
    """Keeps one read model up to date with all partitions of its topic."""

    def __init__(self, model: ReadModel, store: Store, topic: Topic) -> None:
        self._live = LiveProjector(model, store, topic, PassedBy())
        self._topic = topic
        self._ends: Mapping[int, int] = {}
        self._current_at = 0.0
        self.reached = asyncio.Event()
        """Set once it has shown all that was on the topic when it began."""
        self.known = asyncio.Event()
        """Set once an event has told which ledger this is."""
        self.source = ""
        """The ``source`` of the newest event that it shows; empty before the first."""
        self.partitions = 0
        self.behind = 0
        """Records that it did not have at the last comparison with the topic's ends."""

    @property
    def is_current(self) -> bool:
        """Whether it has lately shown all that was on the topic a comparison before."""
        return self.reached.is_set() and self.seconds_old < CURRENT_SECONDS

    @property
    def seconds_old(self) -> float:
        """How long ago it last had all that was on the topic a comparison before."""
        return time.monotonic() - self._current_at

    async def run(self) -> None:
        """Follow the topic until cancelled; what is away is waited for.

        Raises:
            BrokenChainError: the topic lacks an event.
            LedgerChangedError: it is another ledger's now.
        """
        told = ""
        try:
            while True:
                try:
                    self.partitions = await self._topic.partitions()
                    async with self._topic.reading() as reading:
                        told = ""
                        await self._follow(reading)
                except TopicMissingError as error:
                    problem = str(error)
                except _AWAY as error:
                    problem = f"Kafka can't be reached: {type(error).__name__}"
                if problem != told:
                    log.warning("waiting: %s", problem)
                    told = problem
                await asyncio.sleep(_EVERY)
        finally:
            await self._live.close()

    async def _follow(self, reading: Reading) -> None:
        await self._live.catch_up(range(self.partitions))
        self._current_at = time.monotonic()
        self._know(await self._live.standings())
        self.reached.set()
        while True:
            reading.begin({p: at.next_offset for p, at in (await self._live.standings()).items()})
            await self._until_far_behind(reading)

    async def _until_far_behind(self, reading: Reading) -> None:
        """Apply what comes, until much of it was read past this reading: it goes on behind it."""
        look_at = time.monotonic() + _EVERY
        while True:
            records = await reading.more(max(0.0, look_at - time.monotonic()))
            if records:
                await self._live.apply(records)
            if time.monotonic() >= look_at:
                if await self._compare(reading):
                    return
                look_at = time.monotonic() + _EVERY

    async def _compare(self, reading: Reading) -> bool:
        async with asyncio.timeout(_LOOK_SECONDS):
            bounds = await reading.bounds(range(self.partitions))
        ends = {partition: end for partition, (_, end) in bounds.items()}
        far = await self._live.keep_up(ends)
        standings = await self._live.standings()
        if all(at.next_offset >= self._ends.get(p, 0) for p, at in standings.items()):
            self._current_at = time.monotonic()
        self._ends = ends
        self.behind = sum(max(0, ends[p] - at.next_offset) for p, at in standings.items())
        self._know(standings)
        return far

    def _know(self, standings: Mapping[int, Standing]) -> None:
        source = max(standings.values(), key=lambda at: at.last_id).source
        if self.source and source not in {"", self.source}:
            raise LedgerChangedError("the topic is of another ledger or epoch now: start again")
        if source:
            self.source = source
            self.known.set()
