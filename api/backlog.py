"""What Kafka and the read models lack of the event store, looked at once a second.

No request asks a database for it: a command is refused, and a read tells its age, by what was seen
at the last look.
"""

import asyncio
import logging
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from api.errors import Refusal
from api.following import Relayed, follow
from api.readiness import NotUpError
from device_ledger.settings import Settings
from device_ledger.together import beside
from device_ledger.trees.database import TreeStoreError
from device_ledger.trees.store import TreeStore
from device_ledger.wire.trail import EVENTS_LOG
from projections.model import Position
from projections.readers import covers

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
LATE_SECONDS: Final = 10.0
"""After so long without an event on Kafka that is in the event store, the relay is behind."""
RETRY_SECONDS: Final = 5
FINE: Final = 600
"""Sights that are all kept; of older ones it is the first of each minute."""
SIGHTS_MAX: Final = 10_000
"""Sights that are kept: those of a week."""

Heads = Position
"""The last public event id of each partition."""


class Sights:
    """The event store's heads as they were seen, and when by a monotonic clock, oldest first."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._heads: list[Heads] = []

    def see(self, heads: Heads, at: float) -> None:
        """Keep that the heads were these."""
        if self._heads and self._heads[-1] == heads:
            self._times[-1] = at
            return
        self._times.append(at)
        self._heads.append(dict(heads))
        if len(self._times) > FINE:
            before, aged = self._times[-FINE - 1 : -FINE + 1]
            if aged // 60 == before // 60:
                self._forget(-FINE)
        if len(self._times) > SIGHTS_MAX:
            self._forget(0)

    def _forget(self, index: int) -> None:
        del self._times[index], self._heads[index]

    def last_within(self, is_within: Callable[[Heads], bool]) -> float | None:
        """When the heads were last seen within something that only grows; ``None`` before the
        first sight. Where none was within it, the time of the first: it was then, or before."""
        if not self._times:
            return None
        if is_within(self._heads[-1]):
            return self._times[-1]
        beyond = bisect_right(self._heads, 0, key=lambda heads: 0 if is_within(heads) else 1)
        return self._times[max(0, beyond - 1)]


class Backlog:
    """Whether commands are taken, and how old what a read model shows is."""

    def __init__(
        self,
        bound: int,
        heads: Callable[[], Heads],
        relayed: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        count_up_to: Callable[[int], int] = int,
    ) -> None:
        """``bound`` is how many events of the store, by their ids, Kafka may lack. ``heads`` and
        ``relayed`` (up to which id all is on Kafka) are asked in a thread. ``count_up_to`` gives
        an id without those that restores have skipped."""
        self._bound = bound
        self._ask_heads = heads
        self._ask_relayed = relayed
        self._clock = clock
        self._count_up_to = count_up_to
        self._began = clock()
        self._sights = Sights()
        self._relayed = 0
        self._known: tuple[Position | None, float] = (None, self._began)
        self.behind = 0
        """Events of the store that were not on Kafka at the last look."""

    @property
    def is_full(self) -> bool:
        """Whether Kafka lacks so many events that no command is taken."""
        return self.behind >= self._bound

    async def follow(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - the store is away: what was seen counts on
                _log.debug("the event store can't be looked at: %s", type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """See now how far the event store and the relay are."""
        at = self._clock()
        # In this order: what the relay does meanwhile makes it no further behind.
        heads = await asyncio.to_thread(self._ask_heads)
        self._relayed = await asyncio.to_thread(self._ask_relayed)
        self._sights.see(heads, at)
        self._known = (None, self._began)
        newest, relayed = map(self._count_up_to, (_newest(heads), self._relayed))
        behind = max(0, newest - relayed)
        if (behind >= self._bound) is not self.is_full:
            _log.warning("%d events are not on Kafka, %d may be", behind, self._bound)
        self.behind = behind

    def age_of(self, position: Position) -> int:
        """How many seconds ago, at most, a position was all that was stored."""
        # Reads show the same position until the next event.
        known, at = self._known
        if position != known:
            found = self._sights.last_within(lambda heads: covers(position, heads))
            at = self._began if found is None else found
            self._known = (dict(position), at)
        return int(self._clock() - at)

    async def check(self) -> bool:
        """Whether Kafka has what was stored some seconds ago.

        Raises:
            NotUpError: it lacks that, or so much that no command is taken.
        """
        lacks = f"{self.behind} events are not on Kafka"
        if self.is_full:
            raise NotUpError(f"{lacks}, {self._bound} may be: commands are refused")
        at = self._sights.last_within(lambda heads: _newest(heads) <= self._relayed)
        late = self._clock() - at if at is not None and self.behind else 0.0
        if late >= LATE_SECONDS:
            raise NotUpError(f"{lacks}, the first of them for {int(late)} s")
        return True


def full() -> Refusal:
    """503: what a command gets while Kafka lacks too many events."""
    return Refusal(
        503,
        "kafka-behind",
        "Too many events are not on Kafka yet: commands are taken again once it has them",
        {"Retry-After": str(RETRY_SECONDS)},
    )


def _newest(heads: Heads) -> int:
    return max(heads.values(), default=0)


@asynccontextmanager
async def open_backlog(
    settings: Settings,
    heads: Callable[[], Heads],
    trees: TreeStore,
    count_up_to: Callable[[int], int],
) -> AsyncIterator[Backlog]:
    """The backlog of this process, looked at until the block ends."""
    relayed = Relayed()

    def position() -> int:
        if relayed.position:
            return relayed.position
        # Kafka was away since this process began. The relay's tree has what was on Kafka then.
        try:
            return trees.standing(EVENTS_LOG).position
        except TreeStoreError:
            return 0

    backlog = Backlog(settings.backlog_events, heads, position, count_up_to=count_up_to)
    async with beside(follow(settings.brokers, relayed), backlog.follow()):
        yield backlog
