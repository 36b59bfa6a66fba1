"""Keeping a live read model going: whatever fails is tried again, whatever is lost is rebuilt."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import Protocol, TypeVar

from projections.dead_letters import DeadLetters
from projections.guard import HistoryChangedError, KafkaRecord, Standing
from projections.model import ReadModel
from projections.projector import Projector
from projections.rebuild import rebuild
from projections.store import Generation, GenerationGoneError, Store, StoreInUseError
from projections.threads import finish_in_thread
from projections.topic import KAFKA_ERRORS, Topic

T = TypeVar("T")

log = logging.getLogger(__name__)

MANY = 3_000
"""Records behind from which reading the topic in bulk is faster than waiting for the stream."""

_LONGEST_PAUSE = 5.0


class Live(Protocol):
    """What a worker keeps going: see `LiveProjector`."""

    model: ReadModel

    async def apply(self, batch: Sequence[KafkaRecord]) -> None:
        """Let a stream's records take effect."""

    async def catch_up(self, partitions: Collection[int]) -> None:
        """Read partitions to their ends."""

    async def standings(self) -> dict[int, Standing]:
        """Where the read model stands, by partition."""

    async def keep_up(self, ends: Mapping[int, int]) -> bool:
        """Compare with the topic's ends; whether any partition was far behind."""

    async def close(self) -> None:
        """Stop."""


class LiveProjector:
    """A read model's live generation, whichever that is at the moment.

    Those that share ``turns`` read their topics in bulk one after the other: each holds tens of
    megabytes meanwhile.
    """

    def __init__(
        self,
        model: ReadModel,
        store: Store,
        topic: Topic,
        dead_letters: DeadLetters,
        turns: asyncio.Semaphore | None = None,
    ) -> None:
        self.model = model
        self._store = store
        self._topic = topic
        self._dead_letters = dead_letters
        self._turns = turns or nullcontext()
        self._lock = asyncio.Lock()
        self._generation: Generation | None = None
        self._seen: dict[int, Standing] = {}

    async def apply(self, batch: Sequence[KafkaRecord]) -> None:
        """Let a stream's records take effect; returns when they have, or had before.

        Raises:
            BrokenChainError: the topic lacks an event.
        """
        await self._stubbornly(lambda projector: projector.apply(batch))

    async def catch_up(self, partitions: Collection[int]) -> None:
        """Read partitions to their ends, in bulk.

        Raises: as `apply`.
        """
        async with self._turns:
            await self._stubbornly(lambda projector: projector.catch_up(partitions))

    async def standings(self) -> dict[int, Standing]:
        """Where the read model stands, by partition."""
        return await self._stubbornly(lambda projector: projector.standings())

    async def keep_up(self, ends: Mapping[int, int]) -> bool:
        """Compare with the topic's ends, and read what the stream doesn't bring.

        Called every second or so: a partition that is far behind, or behind and unmoved since
        the last call, or ahead of its topic, is caught up. True where any was far behind.
        """
        now = await self.standings()
        late = {partition for partition, end in ends.items() if self._is_late(now, partition, end)}
        far = any(ends[partition] - now[partition].next_offset > MANY for partition in late)
        self._seen = now
        if late:
            await self.catch_up(late)
        return far

    def _is_late(self, now: Mapping[int, Standing], partition: int, end: int) -> bool:
        behind = end - now[partition].next_offset
        unmoved = self._seen.get(partition) == now[partition]
        return behind < 0 or behind > MANY or (behind > 0 and unmoved)

    async def close(self) -> None:
        """Close the generation, after what is under way."""
        async with self._lock:
            self._shut()

    def _shut(self) -> None:
        if self._generation:
            self._generation.close()
            self._generation = None

    async def _stubbornly(self, action: Callable[[Projector], Awaitable[T]]) -> T:
        """Do it until it is done: databases and brokers come back, lost read models are rebuilt."""
        retriable: tuple[type[Exception], ...] = (
            *self._store.retriable,
            *KAFKA_ERRORS,
            StoreInUseError,
        )
        pause = 0.05
        async with self._lock:
            while True:
                try:
                    generation = await self._open()
                    return await action(
                        Projector(self.model, generation, self._topic, self._dead_letters)
                    )
                except GenerationGoneError:
                    self._shut()
                except HistoryChangedError as error:
                    log.warning("%s is built anew: %s", self.model.name, error)
                    self._shut()
                    await finish_in_thread(self._store.point, self.model, None)
                except retriable as error:
                    log.warning("%s waits: %r", self.model.name, error)
                    self._shut()
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)

    async def _open(self) -> Generation:
        while self._generation is None:
            name = await finish_in_thread(self._store.live, self.model)
            if name is None:
                await rebuild(
                    self.model, self._store, self._topic, self._dead_letters, only_if_lost=True
                )
            else:
                self._generation = await finish_in_thread(
                    self._store.open, self.model, name, live=True
                )
        return self._generation
