"""Keeps the archive beside the rules: writes what came, and joins small files now and then."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from projections.archive.compact import compact
from projections.archive.models import ARCHIVES
from projections.archive.store import ArchiveStore
from projections.archive.tail import TailBrokenError
from projections.dead_letters import DeadLetters
from projections.live import LiveProjector
from projections.threads import finish_in_thread
from projections.topic import Topic

WRITE_SECONDS = 5.0
"""How long a record waits to be archived."""
MANY = 20_000
"""Records that are archived at once."""
COMPACT_SECONDS = 60.0


class Archivist:
    """The archive of both logs; ``ends`` gives for each log and partition the offset after it."""

    def __init__(self, brokers: str, archive: Path, store: ArchiveStore) -> None:
        letters = DeadLetters(brokers)
        self._folders = {model.table: archive / model.table for model in ARCHIVES}
        self._projectors = {
            model.table: LiveProjector(model, store, Topic(brokers, model.topic), letters)
            for model in ARCHIVES
        }
        self._topics = {model.table: Topic(brokers, model.topic) for model in ARCHIVES}
        self._many = asyncio.Event()
        self.ends: dict[str, dict[int, int]] = {EVENTS_LOG: {}, ACCESS_LOG: {}}

    async def write(self) -> None:
        """Archive all that is on the topics; waits for Kafka where it is away.

        Raises:
            TopicMissingError: there are no topics yet.
            BrokenChainError: a topic lacks a record.
        """
        for name, projector in self._projectors.items():
            await projector.catch_up(range(await self._topics[name].partitions()))
            standings = await projector.standings()
            self.ends[name] = {partition: at.next_offset for partition, at in standings.items()}

    async def keep(self, waiting: Callable[[], int]) -> None:
        """Archive what waits every few seconds, until cancelled.

        Raises:
            TailBrokenError: a topic was made anew, and the archive with it.
            BrokenChainError: a topic lacks a record.
        """
        folders = self._identities()
        compacted_at = time.monotonic()
        while True:
            await self._wait()
            if waiting():
                await self.write()
            if self._identities() != folders:
                raise TailBrokenError("the archive was begun anew")
            if time.monotonic() - compacted_at >= COMPACT_SECONDS:
                today = f"{datetime.now(UTC):%Y-%m-%d}"
                for folder in self._folders.values():
                    await finish_in_thread(compact, folder, today=today)
                compacted_at = time.monotonic()

    def has_much(self, waiting: int) -> None:
        """Don't let that many records wait for their time."""
        if waiting >= MANY:
            self._many.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._many.wait()
        except TimeoutError:
            return
        self._many.clear()

    def _identities(self) -> list[int]:
        return [folder.stat().st_ino for folder in self._folders.values()]
