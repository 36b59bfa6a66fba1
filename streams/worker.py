"""A worker process: the app, and a loop that compares the read models with their topics."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import Any, cast

from faust.transport.consumer import Consumer
from faust.types import TP

from device_ledger.settings import Settings
from projections.dead_letters import DeadLetters
from projections.group import ask_group, taken
from projections.guard import BrokenChainError
from projections.live import Live, LiveProjector
from projections.models import HURRIED, LARGE, MODELS, TOPICS
from projections.store import StoreInUseError, open_store
from projections.topic import KAFKA_ERRORS, Reading, Topic, TopicMissingError
from projections.unhurried import Unhurried
from streams.app import METADATA_SECONDS, create_app

EXPECTED = (StoreInUseError, BrokenChainError, *KAFKA_ERRORS)
"""What ends a worker with one line that says why."""

STOP_SECONDS = 10.0
"""How long the app may take to stop. What it leaves undone is read again: rows come first."""

log = logging.getLogger(__name__)

_AT_ONCE = 2
"""Large read models that read a topic in bulk at a time."""

_BUILT_WITHIN = 10.0
"""Seconds that a worker waits for the other read models before it says that it is ready."""

_EVERY = 1.0
"""Seconds between two comparisons with the topic's ends."""

_LOOK_EVERY = 2 * METADATA_SECONDS
"""Seconds between two looks at the group, whose leader has seen new partitions meanwhile."""


class Worker:
    """Keeps the read models of the partitions that the group gives it."""

    def __init__(self, settings: Settings, name: str, on_ready: Callable[[], object]) -> None:
        self._topics = {name: Topic(settings.brokers, name) for name in TOPICS}
        self._store = open_store(settings)
        self._brokers = settings.brokers
        self._data = settings.home / "streams"
        letters = DeadLetters(settings.brokers)
        turns = asyncio.Semaphore(_AT_ONCE)
        self._projectors: dict[str, Live] = {}
        for model in MODELS:
            in_turn = turns if model in LARGE else None
            live = LiveProjector(model, self._store, self._topics[model.topic], letters, in_turn)
            self._projectors[model.name] = live if model is HURRIED else Unhurried(live)
        self._app = create_app(settings.brokers, name, self._data, self._projectors)
        self._on_ready = on_ready
        self._begun = asyncio.Event()
        self._app.on_rebalance_complete.connect(self._begin, weak=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop.

        Raises:
            StoreInUseError: another worker writes here, and the store is for one.
            BrokenChainError: the topic lacks an event.
            Exception: whatever else ended the app.
        """
        with ExitStack() as stack:
            stack.enter_context(self._store.writing())
            if not await self._topics_are_there(stop):
                return
            self._data.mkdir(parents=True, exist_ok=True)
            try:
                await self._app.start()
                await self._work_until(stop)
            finally:
                await self._stop_app()
                for projector in self._projectors.values():
                    await projector.close()

    async def _stop_app(self) -> None:
        """Stop the app. Where several agents crashed at once, Faust may wait for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self._app.stop()

    async def _work_until(self, stop: asyncio.Event) -> None:
        keeping = asyncio.create_task(self._keep_up())
        claiming = asyncio.create_task(self._keep_claiming())
        stopping = asyncio.create_task(stop.wait())
        ending = asyncio.create_task(self._app.wait_until_stopped())
        tasks: set[asyncio.Task[Any]] = {keeping, claiming, stopping, ending}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in (keeping, claiming):
                if task.done():
                    task.result()
            if not stop.is_set():
                raise self._app.crash_reason or RuntimeError("the stream ended by itself")
        finally:
            for task in tasks:
                task.cancel()

    async def _topics_are_there(self, stop: asyncio.Event) -> bool:
        told = ""
        while not stop.is_set():
            try:
                for topic in self._topics.values():
                    await topic.partitions()
            except TopicMissingError as error:
                problem = str(error)
            except KAFKA_ERRORS:
                problem = f"Kafka doesn't answer at {self._brokers}"
            else:
                return True
            if problem != told:
                log.warning("waiting: %s", problem)
                told = problem
            await asyncio.sleep(_EVERY / 4)
        return False

    async def _begin(self, *_: Any, **__: Any) -> None:
        """Before the stream of a new assignment starts: begin where the read models stand."""
        assigned = self._assigned()
        if assigned:
            await asyncio.gather(
                *(
                    projector.catch_up(partitions)
                    for topic, partitions in assigned.items()
                    for projector in self._readers_of(topic)
                )
            )
            await self._commit_standings(assigned)
        self._begun.set()

    def _assigned(self) -> dict[str, set[int]]:
        """The partitions that the group gave this worker, by topic."""
        assigned = defaultdict(set)
        for at in self._app.consumer.assignment():
            if at.topic in self._topics:
                assigned[at.topic].add(at.partition)
        return dict(assigned)

    def _readers_of(self, topic: str) -> list[Live]:
        return [reader for reader in self._projectors.values() if reader.model.topic == topic]

    async def _commit_standings(self, assigned: Mapping[str, Collection[int]]) -> None:
        """Set the group's offsets to what the read models have seen; they may lie either way."""
        offsets = {}
        for topic, partitions in assigned.items():
            # One that is busy stands nowhere, and reads for itself what the stream brought before.
            told = [await reader.standings() for reader in self._readers_of(topic)]
            standings = [standing for standing in told if standing]
            for partition in partitions if standings else ():
                seen = min(at[partition].next_offset for at in standings)
                offsets[TP(topic, partition)] = seen
        consumer = cast("Consumer", self._app.consumer)
        await consumer._commit(offsets)  # noqa: SLF001 - no public way without acks

    async def _keep_up(self) -> None:
        while True:
            try:
                async with AsyncExitStack() as stack:
                    readings = {
                        name: await stack.enter_async_context(topic.reading())
                        for name, topic in self._topics.items()
                    }
                    while True:
                        await asyncio.sleep(_EVERY)
                        await self._compare(readings)
            except KAFKA_ERRORS as error:
                log.warning("Kafka can't be reached: %s", type(error).__name__)
                await asyncio.sleep(_EVERY)

    async def _compare(self, readings: Mapping[str, Reading]) -> None:
        assigned = self._assigned()
        if not assigned or self._app.rebalancing:
            return
        far = await asyncio.gather(
            *(self._keep_up_with(readings[topic], topic, assigned[topic]) for topic in assigned)
        )
        if any(far):
            # The stream would go through all that was just read: let it go on behind it.
            await self._commit_standings(assigned)
            await self._app.consumer.perform_seek()

    async def _keep_up_with(
        self, reading: Reading, topic: str, partitions: Collection[int]
    ) -> bool:
        ends = {p: end for p, (_, end) in (await reading.bounds(partitions)).items()}
        readers = self._readers_of(topic)
        return any(await asyncio.gather(*(reader.keep_up(ends) for reader in readers)))

    async def _tell_ready(self) -> None:
        await self._begun.wait()
        others = [one for one in self._projectors.values() if isinstance(one, Unhurried)]
        await asyncio.gather(*(one.settle(_BUILT_WITHIN) for one in others))
        self._on_ready()

    async def _keep_claiming(self) -> None:
        """Look for partitions that are nobody's, once the worker is ready."""
        await self._tell_ready()
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            # Without Kafka, or without a topic, there is nothing to claim.
            with suppress(TopicMissingError, *KAFKA_ERRORS):
                await self._claim_what_is_nobodys()

    async def _claim_what_is_nobodys(self) -> None:
        """Have the group assign anew where it left partitions out.

        A worker that is back within its session gets what it had, unseen. Where a topic was away
        when that was given out, nobody would have its partitions for ever.
        """
        there = {
            (name, number)
            for name, topic in self._topics.items()
            for number in range(await topic.partitions())
        }
        group = await ask_group(self._brokers)
        if group.settled and there - taken(group.workers) and not self._app.rebalancing:
            log.warning("partitions are nobody's: asking the group to assign them")
            await self._app.consumer.subscribe(self._topics)
