"""Several processes that build one generation, each some of its partitions.

A row belongs to one partition, and positions are locked by partition, so that none waits for
another. Whether the generation may become the live one is not theirs to say.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from device_ledger.collecting import collect_seldom
from projections.catching_up import Report
from projections.guard import Standing
from projections.model import ReadModel
from projections.projector import Projector
from projections.store import Store
from projections.topic import DeadLetters, Topic

_SECONDS_BETWEEN_REPORTS: Final = 0.5
_SPAWN: Final = multiprocessing.get_context("spawn")


class ShareEndedError(RuntimeError):
    """A process ended before its share was built."""


@dataclass(frozen=True)
class Share:
    """What a process builds: these partitions of a generation that nothing points to yet."""

    model: ReadModel
    store: Store
    topic: Topic
    dead_letters: DeadLetters
    generation: str
    partitions: Sequence[int]
    parked_below: dict[int, int]

    async def build(self) -> None:
        """Read the partitions to their ends.

        Raises: as `Projector.catch_up`.
        """
        with closing(self.store.open(self.model, self.generation, live=False)) as generation:
            projector = Projector(
                self.model, generation, self.topic, self.dead_letters, self.parked_below
            )
            await projector.catch_up(self.partitions)


async def build_together(
    shares: Sequence[Share], projector: Projector, report: Report | None
) -> None:
    """Build each share in a process of its own; ``projector`` looks at the whole meanwhile.

    Raises:
        ShareEndedError: a process was ended.
        What `Share.build` raises: the other processes are ended then.
    """
    with ExitStack() as stack:
        told = [stack.enter_context(_building(share)) for share in shares]
        building = asyncio.gather(*(asyncio.to_thread(_result, one) for one in told))
        if report:
            await _reporting(building, shares, projector, report)
        await building


async def _reporting(
    building: asyncio.Future[list[None]],
    shares: Sequence[Share],
    projector: Projector,
    report: Report,
) -> None:
    async with shares[0].topic.reading() as reading:
        bounds = await reading.bounds([p for share in shares for p in share.partitions])
    total = sum(end - begin for begin, end in bounds.values())

    def read(standings: dict[int, Standing]) -> int:
        return sum(
            min(max(standings[partition].next_offset, begin), end) - begin
            for partition, (begin, end) in bounds.items()
        )

    ended = False
    while not ended:
        await asyncio.wait({building}, timeout=_SECONDS_BETWEEN_REPORTS)
        ended = building.done()
        report(read(await projector.standings()), total)


@contextmanager
def _building(share: Share) -> Iterator[Connection]:
    told, teller = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_run, args=(share, teller), daemon=True)
    process.start()
    teller.close()
    try:
        yield told
    finally:
        process.terminate()
        process.join()


def _result(told: Connection) -> None:
    try:
        error = told.recv()
    except EOFError:
        raise ShareEndedError("a process of the rebuild was ended") from None
    if error is not None:
        raise error


def _run(share: Share, teller: Connection) -> None:
    """In the process: build, and tell None or what went wrong."""
    # Ctrl-C reaches the whole group; this one is ended by the process that it works for.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    collect_seldom()
    error: Exception | None = None
    try:
        asyncio.run(share.build())
    except Exception as raised:  # noqa: BLE001 - told to the parent, which raises it
        error = raised
    with suppress(BrokenPipeError):
        teller.send(error)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)
