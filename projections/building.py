"""Filling a new generation by several processes, each with partitions of its own.

Rows belong to partitions, so that each process works as if it were alone. One that ends before
its part is done ends the whole: what is left then is an interrupted rebuild's.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, NamedTuple

from device_ledger.collecting import collect_seldom
from device_ledger.settings import Settings
from projections.catching_up import Report
from projections.dead_letters import DeadLetters
from projections.models import MODELS
from projections.projector import Projector
from projections.store import open_store
from projections.threads import finish_in_thread
from projections.topic import Topic

NICENESS: Final = 10
"""They give way: on cores that they share with what callers wait for, those go first."""

_WORTH: Final = 100_000
"""Records that take a process longer than its start."""
_MOST: Final = 4
"""Each takes 100 MB, and a machine may have many cores and let us have few: more are asked for."""
_CANCELLED_WITHIN: Final = 0.5

_spawning = multiprocessing.get_context("spawn")


class BuilderEndedError(RuntimeError):
    """A process ended before its part was done."""


class Part(NamedTuple):
    """What a process fills: partitions of a generation. ``parked_below`` as `Projector` has it."""

    settings: Settings
    model: str
    generation: str
    partitions: Sequence[int]
    parked_below: Mapping[int, int]


async def processes_for(topic: Topic) -> int:
    """As many as there are cores and partitions, four at most; fewer where little is read.

    Raises:
        TopicMissingError: there is no topic.
        KafkaError: no broker can be reached.
    """
    partitions = await topic.partitions()
    async with topic.reading() as reading:
        bounds = await reading.bounds(range(partitions))
    records = sum(end - begin for begin, end in bounds.values())
    return max(1, min(_MOST, len(os.sched_getaffinity(0)), partitions, records // _WORTH))


async def fill(parts: Sequence[Part], report: Report | None) -> None:
    """Read each part's partitions to their ends, each part in a process of its own.

    Raises:
        BuilderEndedError: one of them was killed.
        Exception: what `Projector.catch_up` raised in one of them.
    """
    with _builders(parts) as builders:
        busy = list(builders)
        read: dict[Connection, tuple[int, int]] = {}
        while busy:
            ready = await finish_in_thread(wait, busy, _CANCELLED_WITHIN)
            for connection in [one for one in busy if one in ready]:
                told = _told(connection, builders[connection])
                if isinstance(told, Exception):
                    raise told
                if told is None:
                    busy.remove(connection)
                else:
                    read[connection] = told
            if report and len(read) == len(parts):
                report(sum(done for done, _ in read.values()), sum(of for _, of in read.values()))


def _told(connection: Connection, process: BaseProcess) -> tuple[int, int] | Exception | None:
    """Records read and due; None once all are; or what went wrong."""
    try:
        told: tuple[int, int] | Exception | None = connection.recv()
    except EOFError:
        process.join()
        raise BuilderEndedError(
            f"a process that fills it ended with exit code {process.exitcode}: nothing was changed"
        ) from None
    return told


@contextmanager
def _builders(parts: Sequence[Part]) -> Iterator[dict[Connection, BaseProcess]]:
    """A process for each part; in the end none of them is left."""
    builders: dict[Connection, BaseProcess] = {}
    try:
        for part in parts:
            ours, theirs = _spawning.Pipe(duplex=False)
            with theirs, _deaf_to_interrupts():
                process: BaseProcess = _spawning.Process(
                    target=_build, args=(part, theirs), daemon=True
                )
                process.start()
            builders[ours] = process
        yield builders
    finally:
        for connection, process in builders.items():
            process.kill()
            process.join()
            connection.close()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started within never hears of Ctrl-C, which reaches all of a terminal's processes:
    whoever started it ends it. This process hears of it in the end."""
    # Started with the first process instead, it would end the deafness.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _build(part: Part, tell: Connection) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(NICENESS)
    collect_seldom()
    try:
        asyncio.run(_catch_up(part, tell))
    except Exception as error:  # noqa: BLE001 (raised where it is waited for)
        error.add_note("".join(traceback.format_tb(error.__traceback__)))
        tell.send(error)
    else:
        tell.send(None)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


async def _catch_up(part: Part, tell: Connection) -> None:
    [model] = [one for one in MODELS if one.name == part.model]
    brokers = part.settings.brokers
    store = open_store(part.settings)
    generation = await finish_in_thread(store.open, model, part.generation, live=False)
    with closing(generation):
        topic, dead_letters = Topic(brokers, model.topic), DeadLetters(brokers)
        projector = Projector(model, generation, topic, dead_letters, part.parked_below)
        await projector.catch_up(part.partitions, lambda *read: tell.send(read))
