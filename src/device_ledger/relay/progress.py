"""Telling on the progress topic how far the relay is."""

import asyncio
from datetime import datetime, timedelta

from aiokafka import AIOKafkaProducer

from device_ledger.wire.progress import Progress, encode
from device_ledger.wire.topics import PROGRESS

PACE_SECONDS = 0.25
COMMIT_SECONDS = 0.5
"""How long an event may be on its way into the store after the time that it carries: commands are
given their time before the commit, and an API process may commit after another's later ones."""


class ProgressTeller:
    """Tells the last progress that it was given, at most once in :data:`PACE_SECONDS`."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._moved = asyncio.Event()
        self._progress: Progress | None = None

    def moved(self, position: int, seen: datetime) -> None:
        """All events up to this id are acknowledged; the store showed no more at ``seen``."""
        through = (seen - timedelta(seconds=COMMIT_SECONDS)).isoformat(timespec="milliseconds")
        self._progress = Progress(position, through.replace("+00:00", "Z"))
        self._moved.set()

    async def run(self) -> None:
        """Tell until cancelled.

        Raises:
            KafkaError: the broker didn't acknowledge.
        """
        while True:
            await self._moved.wait()
            self._moved.clear()
            assert self._progress is not None  # noqa: S101 - set before the event
            await self._producer.send_and_wait(PROGRESS, encode(self._progress))
            await asyncio.sleep(PACE_SECONDS)
