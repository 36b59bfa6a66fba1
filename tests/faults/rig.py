"""A whole system whose processes have fault points, and somebody who starts again what ended."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg

from device_ledger.cli.child import Child
from device_ledger.ledger.ledger import EventStore
from tests.faults.points import Point
from tests.support.postgres import SETTINGS, TcpServer
from tests.support.system import System

DATABASES: Final = ("events", "read_models", "vault")
LOOK_SECONDS: Final = 0.05
RECOVERY_SECONDS: Final = 120.0
"""Within this time every process must serve again; a loaded machine is given a lot."""


@dataclass(frozen=True)
class Fault:
    """A signal at the ``hit``-th time that a process comes by a point; to itself, or to others."""

    point: str
    hit: int
    signal: str
    pids: tuple[int, ...] = ()


class Rig(System):
    """All processes on one store, ``sqlite`` or ``postgresql``; on the latter two APIs and workers.

    It has a broker of its own where ``servers`` names none. Leaving the block stops everything,
    the PostgreSQL server too.
    """

    def __init__(self, folder: Path, store: str, servers: str = "", mutant: str = "") -> None:
        self.store = store
        self.postgres = TcpServer(_made(folder / "pgdata"), SETTINGS) if store != "sqlite" else None
        self.restarts: Counter[str] = Counter()
        self._kept: list[str] = []
        self._ordered: dict[str, tuple[int, tuple[Fault, ...]]] = {}
        urls = self._databases() if self.postgres else {}
        super().__init__(folder / "home", servers, env={"FAULT_MUTANT": mutant}, **urls)
        (self.home / "faults").mkdir()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in self._started:
            self.signal(name, signal.SIGCONT)
        super().__exit__(kind, error, trace)
        if self.postgres:
            self.postgres.cleanup()

    @property
    def names(self) -> list[str]:
        """The processes that it keeps running, broker first."""
        first = ["broker"] if "broker" in self._children else []
        second = ["api-2", "streams-2"] if self.postgres else []
        return [*first, "api", "relay", "streams", *second]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Start all, and start again whatever ends, for as long as the block runs."""
        first = [name for name in self.names if name == "broker"]
        await asyncio.to_thread(self.start, *first)
        for name in self.names[len(first) :]:
            self._started[name] = self.child(name)
            self.child(name).start()
        await self.until_ready()
        self._kept = self.names
        keeping = asyncio.create_task(self._keep())
        try:
            yield self
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    @asynccontextmanager
    async def without(self, *names: str) -> AsyncIterator[None]:
        """Stop processes in order, do something, and start them again."""
        self._kept = [name for name in self._kept if name not in names]
        await asyncio.to_thread(self.stop, *names)
        try:
            yield
        finally:
            for name in names:
                self.order(name)
                self.child(name).start()
            self._kept += names

    async def restart(self, name: str, *faults: Fault) -> None:
        """Stop a process and start it, with faults that are to come meanwhile."""
        self._kept.remove(name)
        self.order(name, *faults)
        await asyncio.to_thread(self.child(name).stop)
        self.order(name, *self._due(name))
        self.child(name).start()
        self._kept.append(name)

    async def until_ready(self, within: float = RECOVERY_SECONDS) -> None:
        """Return once every process serves.

        Raises:
            TimeoutError: one doesn't within so many seconds.
        """
        async with asyncio.timeout(within):
            for name in self.names:
                while not await self._serves(name):  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(LOOK_SECONDS)

    def order(self, name: str, *faults: Fault, clock: float = 0.0) -> None:
        """Say what is to happen in a process, in place of what was said before."""
        if name == "broker":
            return
        self._ordered[name] = len(self.fired(name)), faults
        path = self._orders(name)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps({"faults": [asdict(one) for one in faults], "clock": clock}))
        draft.replace(path)
        if name in self._started and self._noted(name, "pid")[-1:] == [str(self.child(name).pid)]:
            self.signal(name, signal.SIGUSR1)

    def _due(self, name: str) -> list[Fault]:
        """What was ordered last and has not come: what came is not to come again."""
        before, faults = self._ordered.get(name, (0, ()))
        came = self.fired(name)[before:]
        return [one for one in faults if one.point not in came]

    def fired(self, name: str) -> list[str]:
        """The points at which a process had a fault, in order."""
        return self._noted(name, "fired")

    def reached(self) -> set[str]:
        """The points that any process came by."""
        return {point for name in self._started for point in self._noted(name, "reached")}

    async def until_fired(self, name: str, count: int) -> None:
        """Return once that many faults came in a process."""
        while len(self.fired(name)) < count:  # noqa: ASYNC110 - a file gives no event
            await asyncio.sleep(LOOK_SECONDS)

    def pids(self, name: str) -> tuple[int, ...]:
        """The processes behind a name: the broker's Java and all of PostgreSQL's, too."""
        if name == "postgres":
            assert self.postgres is not None
            pid = self.postgres.get_pid()
        else:
            pid = self.child(name).pid
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(pid)
            return (first.pid, *(one.pid for one in first.children(recursive=True)))
        return ()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to all processes behind a name that are still there."""
        for pid in self.pids(name) if name in {"broker", "postgres"} else (self.child(name).pid,):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def database_url(self, name: str) -> str:
        """URL of one of the server's databases, as its owner's."""
        assert self.postgres is not None
        return urlsplit(self.postgres.url)._replace(path=f"/{name}").geturl()

    def sql(self, database: str, statement: str, *values: Any) -> Sequence[tuple[Any, ...]]:
        """Run a statement as the server's owner."""
        with psycopg.connect(self.database_url(database), autocommit=True) as connection:
            done = connection.execute(statement, values or None)
            return done.fetchall() if done.description else []

    def heads(self) -> dict[int, int]:
        """The id of the last event of each partition, in the event store."""
        events = EventStore.open(self.settings)
        try:
            return events.store.heads()
        finally:
            events.close()

    def _databases(self) -> dict[str, str]:
        for name in DATABASES:
            self.sql("postgres", f"CREATE DATABASE {name}")
        events, rows, vault = map(self.database_url, DATABASES)
        return {"event_store_url": events, "read_models_url": rows, "vault_url": vault}

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for name in list(self._kept):
                if self.child(name).exit_code is not None:
                    self.restarts[name] += 1
                    # Who was killed from elsewhere has its own fault still before it.
                    self.order(name, *self._due(name))
                    self.child(name).start()
            if self.postgres and not _lives(self.postgres.get_pid()):
                self.restarts["postgres"] += 1
                await asyncio.to_thread(self._start_postgres)

    def _start_postgres(self) -> None:
        assert self.postgres is not None
        # All of its processes were killed: nobody else has the folder.
        (self.postgres.pgdata / "postmaster.pid").unlink(missing_ok=True)
        self.postgres.ensure_postgres_running()

    async def _serves(self, name: str) -> bool:
        child = self.child(name)
        if not name.startswith("api"):
            return child.exit_code is None and child.is_ready()
        # Two of them tell it in one place: each is asked.
        try:
            async with self.client(name) as client:
                return (await client.get("/readyz", timeout=1.0)).is_success
        except httpx.HTTPError:
            return False

    def _orders(self, name: str) -> Path:
        return self.home / "faults" / f"{name}.json"

    def _noted(self, name: str, kind: str) -> list[str]:
        path = self._orders(name).with_suffix(f".{kind}")
        return path.read_text().split() if path.exists() else []

    def _made(self, name: str) -> Child:
        child = super()._made(name)
        kind, _, _ = name.partition("-")
        if kind == "relay":
            child = Child("relay", self.home, self.environment)
            child.log = child.log.with_name(f"{name}.log")
        words = [kind, "--name", name] if kind == "streams" else [kind]
        child._command = (sys.executable, "-m", "tests.faults.launcher", *words)
        child._environment["FAULT_ORDERS"] = str(self._orders(name))
        return child


def victims(point: Point, rig: Rig) -> list[str]:
    """Who may fall at a point: the process itself first, then the others."""
    others = ["broker", "api", "relay", "streams", *(["postgres"] if rig.postgres else [])]
    return [point.process, *(name for name in others if name != point.process)]


def _lives(pid: int | None) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder.resolve()
