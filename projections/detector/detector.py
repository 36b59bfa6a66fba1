"""The detector's process: sessions one after the other, each from what the last one saved."""

import asyncio
import logging
import shutil
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import partial
from typing import Any

import duckdb

from device_ledger.logs import where
from device_ledger.proofs import NoteError
from device_ledger.settings import Settings
from projections.archive.layout import ArchiveBrokenError, archive_of
from projections.archive.store import ArchiveStore
from projections.archive.tail import Tail, TailBrokenError
from projections.detection.engine import open_engine
from projections.detector.archivist import Archivist
from projections.detector.feed import Feed, open_feed
from projections.detector.rulebook import RuleBook
from projections.detector.session import Session
from projections.detector.state import State, load_state
from projections.detector.told import open_teller, read_told
from projections.guard import BrokenChainError, HistoryChangedError
from projections.store import GenerationGoneError, StoreInUseError
from projections.threads import finish_in_thread
from projections.topic import KAFKA_ERRORS, TopicMissingError
from projections.witness.witness import CheckpointWitness

EXPECTED = (BrokenChainError, NoteError)
"""What ends the detector with one line that says why."""

MEMORY = "512MB"
RULES_SECONDS = 2.0
_WITHIN = 0.25
_PAUSE_SECONDS = 1.0
_WITNESS_PAUSE_SECONDS = 10.0

_RETRIED: tuple[type[Exception], ...] = (
    *KAFKA_ERRORS,
    TopicMissingError,
    TailBrokenError,
    HistoryChangedError,
    ArchiveBrokenError,
    GenerationGoneError,
    duckdb.Error,
    OSError,
)

log = logging.getLogger(__name__)


class Detector:
    """Works until told to stop; whatever fails, it begins again from what it has saved."""

    def __init__(self, settings: Settings, on_ready: Callable[[], object]) -> None:
        """
        Raises:
            NoteError: a setting holds what is no verifier key.
        """
        self._brokers = settings.brokers
        self._archive = archive_of(settings.home)
        self._spill = settings.home / "run" / "detector"
        self._store = ArchiveStore(self._archive)
        self._archivist = Archivist(settings.brokers, self._archive, self._store)
        self._book = RuleBook(settings.rules)
        self._witness = CheckpointWitness(settings)
        self._on_ready = on_ready

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop.

        Raises:
            BrokenChainError: the topic lacks an event.
        """
        with ExitStack() as stack:
            await _until_one_ends(self._work(stack, stop), stop.wait())

    async def _work(self, stack: ExitStack, stop: asyncio.Event) -> None:
        await self._take_lock(stack)
        shutil.rmtree(self._spill, ignore_errors=True)
        stack.callback(shutil.rmtree, self._spill, ignore_errors=True)
        await _until_one_ends(self._sessions(), self._check_checkpoints(stop))

    async def _sessions(self) -> None:
        told = ""
        while True:
            try:
                await _until_one_ends(self._session())
            except _RETRIED as error:
                problem = f"{type(error).__name__}: {error}"
                if problem != told:
                    log.warning("it begins again: %s", problem)
                    told = problem
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _check_checkpoints(self, stop: asyncio.Event) -> None:
        """Keep the witness going; whatever befalls it, alerts are raised all the same."""
        while not stop.is_set():
            try:
                await self._witness.run(stop)
            except Exception as error:  # noqa: BLE001 - it is told, and begun again
                log.error("the witness begins again: %s", where(error))  # noqa: TRY400
                await asyncio.sleep(_WITNESS_PAUSE_SECONDS)

    async def _take_lock(self, stack: ExitStack) -> None:
        told = False
        while True:
            try:
                stack.enter_context(self._store.writing())
            except StoreInUseError:
                if not told:
                    log.warning("another detector works on %s: waiting for its end", self._archive)
                    told = True
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    async def _session(self) -> None:
        await self._archivist.write()
        await finish_in_thread(self._book.refresh)
        with open_engine([self._archive], memory=MEMORY, threads=1, spill=self._spill) as engine:
            tail = await finish_in_thread(Tail, engine, self._archive)
            saved = await finish_in_thread(load_state, self._archive)
            told = await read_told(self._brokers, saved.alerts if saved else 0)
            state = saved or State(passed={}, seen={}, alerts=told.next_offset)
            async with (
                open_teller(self._brokers) as teller,
                open_feed(self._brokers, tail.next_offsets()) as feed,
            ):
                session = Session(
                    tail,
                    self._book,
                    tell=teller.tell,
                    told_since=partial(read_told, self._brokers),
                    state=state,
                    told=told,
                    save=lambda state: state.save(self._archive),
                )
                await finish_in_thread(session.begin)
                self._on_ready()
                await _until_one_ends(
                    self._follow(session, feed),
                    self._archivist.keep(lambda: session.unarchived(self._archivist.ends)),
                )

    async def _follow(self, session: Session, feed: Feed) -> None:
        clock = asyncio.get_running_loop().time
        looked_at = clock()
        while True:
            await session.take(await feed.next(_WITHIN))
            self._archivist.has_much(session.unarchived(self._archivist.ends))
            if clock() - looked_at >= RULES_SECONDS:
                looked_at = clock()
                await finish_in_thread(self._book.refresh)
                await finish_in_thread(session.forget, self._archivist.ends)


async def _until_one_ends(*works: Coroutine[Any, Any, object]) -> None:
    """Run all until one ends, and end the others; its exception is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            if task.cancelled():
                # Not by us: clients of Kafka that are stopped while it is away raise it.
                raise ConnectionError("a client of Kafka gave up")
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
