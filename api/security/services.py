"""What the family's routes work with beside what all routes do."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final

from api.errors import Refusal
from api.security.alert_topic import AlertTopic, open_alert_topic
from api.security.replay_runner import ReplayRunner, open_runner
from api.security.rule_files import RuleChecker
from device_ledger.settings import Settings
from device_ledger.trees.store import TreeStore

STREAMS_MAX: Final = 200
STREAMS_OF_CALLER_MAX: Final = 5


class Streams:
    """Counts the event streams that are open."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @property
    def open_now(self) -> int:
        """How many there are."""
        return self._open.total()

    @contextmanager
    def one(self, caller: str) -> Iterator[None]:
        """Hold a stream of a caller open.

        Raises:
            Refusal: 429, there are as many as there may be.
        """
        if self._open[caller] >= STREAMS_OF_CALLER_MAX or self._open.total() >= STREAMS_MAX:
            raise Refusal(
                429, "too-many-streams", "Too many streams are open", {"Retry-After": "10"}
            )
        self._open[caller] += 1
        try:
            yield
        finally:
            self._open[caller] -= 1
            # Counts of zero are not kept for ever.
            self._open += Counter()


@dataclass(frozen=True, slots=True)
class SecurityServices:
    """Replays, the alerts topic, the logs' trees and the open streams of this process.

    ``acknowledging`` is held while an alert is looked at and acknowledged.
    """

    replays: ReplayRunner
    alerts: AlertTopic
    trees: TreeStore
    streams: Streams = field(default_factory=Streams)
    rules: RuleChecker = field(default_factory=RuleChecker)
    acknowledging: asyncio.Lock = field(default_factory=asyncio.Lock)


@asynccontextmanager
async def open_security(settings: Settings) -> AsyncIterator[SecurityServices]:
    """Open them; replays that were interrupted go on."""
    trees = TreeStore.open(settings)
    try:
        async with open_runner(settings) as replays, open_alert_topic(settings.brokers) as alerts:
            yield SecurityServices(replays, alerts, trees)
    finally:
        trees.close()
