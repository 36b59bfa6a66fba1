"""Building a read model anew beside the live one, and putting it in its place.

The live one goes on serving and moving. The swap holds its positions, reads up to them, and
moves the pointer only when no partition of the new one is behind. A rebuild that is killed
leaves a generation that nothing points to; the next one removes it.
"""

from contextlib import ExitStack, closing

from projections.model import ReadModel
from projections.projector import Projector, Report, finish_in_thread
from projections.store import GenerationGoneError, Store
from projections.topic import DeadLetters, Topic


class RebuildError(RuntimeError):
    """The new generation can't take the live one's place; that one goes on serving."""


async def rebuild(
    model: ReadModel,
    store: Store,
    topic: Topic,
    dead_letters: DeadLetters,
    *,
    report: Report | None = None,
    only_if_lost: bool = False,
) -> None:
    """Build a generation from the topic's start and make it the live one.

    Raises:
        StoreInUseError: another process is building this read model.
        RebuildError: the topic holds less than the live read model shows.
        TopicMissingError: there is no topic to build from.
        BrokenChainError: the topic lacks an event.
    """
    with ExitStack() as stack:
        await finish_in_thread(stack.enter_context, store.building(model))
        if only_if_lost:
            live = await finish_in_thread(store.live, model)
            if live is not None:
                return
        await finish_in_thread(store.remove_others, model)
        partitions = range(await topic.partitions())
        name = await finish_in_thread(store.create, model, len(partitions))
        generation = await finish_in_thread(store.open, model, name, live=False)
        stack.enter_context(closing(generation))
        projector = Projector(model, generation, topic, dead_letters)
        await projector.catch_up(partitions, report)
        # Once more for what came meanwhile, so that the swap has little left to wait for.
        await projector.catch_up(partitions)
        while not await _swapped(model, store, projector, name):
            continue
        await finish_in_thread(store.remove_others, model)


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
