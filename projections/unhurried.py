"""A live read model that holds up no other: what takes it long goes on beside the stream."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

from projections.guard import KafkaRecord, Standing
from projections.live import LiveProjector

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds that a caller waits for what it asked for."""

_BUSY = 0.05
"""Seconds that a caller waits while there is something else to do."""


class Unhurried:
    """As `LiveProjector`, but nobody waits long for it.

    Records that come while it is being built or is far behind are dropped: the guard finds the
    gap at the next ones, or the next comparison with the topic's ends does. So a large read model
    that is built anew never keeps the stream from the others.
    """

    def __init__(self, projector: LiveProjector) -> None:
        self.model = projector.model
        self._projector = projector
        self._running: asyncio.Task[object] | None = None

    async def apply(self, batch: Sequence[KafkaRecord]) -> None:
        """Let a stream's records take effect, or leave them to a later reading of the topic.

        Raises: as `LiveProjector.apply`, maybe for an earlier call.
        """
        await self._patiently(lambda: self._projector.apply(batch))

    async def catch_up(self, partitions: Collection[int]) -> None:
        """Begin to read partitions to their ends; what is soon done is done then.

        Raises: as `apply`.
        """
        await self._patiently(lambda: self._projector.catch_up(partitions))

    async def standings(self) -> dict[int, Standing]:
        """Where the read model stands, by partition; nothing while it is busy."""
        return await self._patiently(self._projector.standings) or {}

    async def keep_up(self, ends: Mapping[int, int]) -> bool:
        """As `LiveProjector.keep_up`; also false while it is busy."""
        return bool(await self._patiently(lambda: self._projector.keep_up(ends)))

    async def settle(self, within: float) -> None:
        """Wait for what is under way, so many seconds at most."""
        if self._running:
            await asyncio.wait({self._running}, timeout=within)

    async def close(self) -> None:
        """Stop what is under way, and close the generation."""
        if self._running:
            self._running.cancel()
            await asyncio.wait({self._running})
        await self._projector.close()

    async def _patiently(self, action: Callable[[], Awaitable[T]]) -> T | None:
        if self._running:
            await asyncio.wait({self._running}, timeout=_BUSY)
            if not self._running.done():
                return None
            # What ended work that nobody waited for is told to whoever comes next.
            self._running.result()

        async def act() -> T:
            return await action()

        running = asyncio.create_task(act())
        self._running = running
        await asyncio.wait({running}, timeout=PATIENCE)
        return running.result() if running.done() else None
