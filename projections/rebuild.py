"""Building a read model anew beside the live one, and putting it in its place.

The live one goes on serving and moving. The swap holds its positions, reads up to them, and
moves the pointer only when no partition of the new one is behind. A rebuild that is killed
leaves a generation that nothing points to; the next one removes it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, closing

from device_ledger.settings import Settings
from projections.building import BuilderEndedError, Part, fill, processes_for
from projections.catching_up import Report
from projections.dead_letters import DeadLetters
from projections.guard import BrokenChainError, HistoryChangedError
from projections.model import ReadModel
from projections.projector import Projector
from projections.store import GenerationGoneError, Store, StoreInUseError, open_store
from projections.threads import finish_in_thread
from projections.topic import KAFKA_ERRORS, Topic, TopicMissingError


class RebuildError(RuntimeError):
    """The new generation can't take the live one's place; that one goes on serving."""


EXPECTED = (
    RebuildError,
    BuilderEndedError,
    StoreInUseError,
    TopicMissingError,
    BrokenChainError,
    HistoryChangedError,
    GenerationGoneError,
)
"""What ends a rebuild with one line that says why."""

Fill = Callable[[str, Sequence[int], Mapping[int, int]], Awaitable[None]]
"""Fills a new generation's partitions, given the offsets below which all was parked before; where
there is none, whoever rebuilds reads all by itself."""


async def rebuild(
    model: ReadModel,
    store: Store,
    topic: Topic,
    dead_letters: DeadLetters,
    *,
    report: Report | None = None,
    only_if_lost: bool = False,
    park_again: bool = False,
    fill: Fill | None = None,
) -> None:
    """Build a generation from the topic's start and make it the live one.

    What can't be taken was parked by the live one before; ``park_again`` tells of it once more.

    Raises:
        StoreInUseError: another process is building this read model.
        RebuildError: the topic holds less than the live read model shows.
        TopicMissingError: there is no topic to build from.
        BrokenChainError: the topic lacks an event.
    """
    with ExitStack() as stack:
        await finish_in_thread(stack.enter_context, store.building(model))
        if only_if_lost and await finish_in_thread(store.live, model) is not None:
            return
        partitions = range(await topic.partitions())
        await finish_in_thread(store.remove_others, model)
        name = await finish_in_thread(store.create, model, len(partitions))
        opened = await finish_in_thread(store.open, model, name, live=False)
        generation = stack.enter_context(closing(opened))
        parked_below = {} if park_again else await _seen_by_live(model, store)
        projector = Projector(model, generation, topic, dead_letters, parked_below)
        if fill:
            await fill(name, partitions, parked_below)
        else:
            await projector.catch_up(partitions, report)
        await projector.catch_up(partitions)  # What came meanwhile: the swap waits for the rest.
        while not await _swapped(model, store, projector, name):
            continue
        await finish_in_thread(store.remove_others, model)


async def _seen_by_live(model: ReadModel, store: Store) -> dict[int, int]:
    """The offsets below which the live generation looked at everything, by partition."""
    name = await finish_in_thread(store.live, model)
    if name is None:
        return {}
    with closing(await finish_in_thread(store.open, model, name, live=True)) as live:
        standings = await finish_in_thread(live.standings)
    return {partition: at.next_offset for partition, at in standings.items()}


async def _swapped(model: ReadModel, store: Store, projector: Projector, name: str) -> bool:
    """Put the new generation in the live one's place; false where that one just went away."""
    live_name = await finish_in_thread(store.live, model)
    if live_name is None:
        await finish_in_thread(store.point, model, name)
        return True
    try:
        with ExitStack() as stack:
            live = await finish_in_thread(store.open, model, live_name, live=True)
            stack.enter_context(closing(live))
            partitions = await projector.standings()
            held = await finish_in_thread(stack.enter_context, live.transaction(partitions))
            goal = {partition: at.last_id for partition, at in held.standings.items()}
            await _reach(projector, goal)
            await finish_in_thread(store.point, model, name)
    except GenerationGoneError:
        return False
    return True


async def _reach(projector: Projector, goal: dict[int, int]) -> None:
    behind = await _behind(projector, goal)
    if behind:
        await projector.catch_up(behind)
        if behind := await _behind(projector, goal):
            raise RebuildError(
                f"the topic holds less than the live read model shows"
                f" (partitions {', '.join(map(str, behind))}): nothing was changed"
            )


async def _behind(projector: Projector, goal: dict[int, int]) -> list[int]:
    standings = await projector.standings()
    return [partition for partition, at in standings.items() if at.last_id < goal[partition]]


async def rebuild_one(
    settings: Settings, model: ReadModel, report: Report, processes: int | None = None
) -> None:
    """Rebuild a read model of the installation that the settings name.

    ``processes`` read its topic, each some of the partitions; by default as many as are of use.

    Raises:
        EXPECTED: why it was not; the live one goes on.
    """
    topic = Topic(settings.brokers, model.topic)
    store = open_store(settings)
    try:
        count = processes or await processes_for(topic)
        await rebuild(
            model,
            store,
            topic,
            DeadLetters(settings.brokers),
            report=report,
            fill=_filling(settings, model, count, report) if count > 1 else None,
        )
    except KAFKA_ERRORS as error:
        raise RebuildError(f"Kafka doesn't answer at {settings.brokers}") from error
    except store.retriable as error:
        raise RebuildError(f"the database can't be written: {type(error).__name__}") from error


def _filling(settings: Settings, model: ReadModel, processes: int, report: Report) -> Fill:
    async def filling(name: str, partitions: Sequence[int], below: Mapping[int, int]) -> None:
        shares = [partitions[first::processes] for first in range(processes)]
        parts = [Part(settings, model.name, name, share, below) for share in shares if share]
        await fill(parts, report)

    return filling
