"""Runs replays, each in a process of its own, at most so many at once.

A process reads rules that somebody sent, so it gets no key and no password: the archive and Kafka
are all that it reads.
It ends with this one (``device_ledger.tether``). A replay that was interrupted is started again:
it changes nothing, and its answer is the same.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Final

from api.security.replay_files import RESULT_BYTES_MAX, Replay, ReplayFiles, Standing
from device_ledger.ledger.ledger import utc_now
from device_ledger.logs import where
from device_ledger.settings import Settings
from device_ledger.tether import SUPERVISOR_FD
from device_ledger.together import beside

_log = logging.getLogger(__name__)

RUNS_MAX: Final = 3
"""So many processes are started for a replay that others interrupt."""
LOOK_SECONDS: Final = 1.0
"""How often a replay is looked at for an end that another process was asked for."""
GRACE_SECONDS: Final = 5.0
RUN_SECONDS_MAX = 3_600.0
"""How long a replay may run: others wait behind it, those of other banks too."""
_SAID: Final = "device-ledger: "
_KEPT_FROM_CHILDREN: Final = ("DEVICE_LEDGER_", "PG")


class ReplayRunner:
    """The replays of a home; made by :func:`open_runner`."""

    def __init__(self, settings: Settings) -> None:
        self.files = ReplayFiles(settings.home / "replays")
        self._environment = _environment(settings)
        self._spills = settings.home / "run"
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._ends: dict[str, asyncio.Event] = {}

    def start(self, replay: Replay) -> None:
        """Run a replay as soon as there is room."""
        self._queue.put_nowait(replay.id)

    def cancel(self, replay: Replay) -> Replay:
        """End a replay, unless it is over already; how it stands then."""
        if not replay.standing.is_over:
            replay.cancel()
            if (end := self._ends.get(replay.id)) is not None:
                end.set()
        return self.files.find(replay.id) or replay

    def take_up(self) -> None:
        """Start again what another process left unfinished."""
        self.files.forget_halves()
        for replay in reversed(self.files.all()):
            if replay.standing.ended_at is not None:
                continue
            with _claimed(replay) as is_ours:
                if is_ours:
                    self.start(replay.become(replace(replay.standing, state="queued")))

    async def work(self) -> None:
        """Run one replay after the other, until cancelled."""
        while True:
            replay = self.files.find(await self._queue.get())
            if replay is None:
                continue
            try:
                with _claimed(replay) as is_ours:
                    if is_ours:
                        await self._finish(replay)
            except Exception as error:  # noqa: BLE001 - the next replay is run all the same
                _log.error("replay %s could not be run: %s", replay.id, where(error))

    async def _finish(self, replay: Replay) -> None:
        """Bring a replay that nobody else runs to its end."""
        # Looked at again: what was true before the claim may be over.
        replay = self.files.find(replay.id) or replay
        standing = replay.standing
        if standing.ended_at is not None:
            return
        if replay.asked_to_end():
            ended = replace(standing, state="cancelled")
        elif standing.runs >= RUNS_MAX:
            ended = replace(standing, state="failed", reason=f"interrupted {RUNS_MAX} times")
        else:
            standing = Standing("running", standing.runs + 1, utc_now())
            ended = await self._run(replay.become(standing))
        replay.become(replace(ended, ended_at=utc_now()))
        self.files.forget_old(replay.asked.bank_id)

    async def _run(self, replay: Replay) -> Standing:
        """How a replay's process ended."""
        end = self._ends.setdefault(replay.id, asyncio.Event())
        replay.run.mkdir(mode=0o700)
        theirs, ours = os.pipe()
        try:
            with (replay.run / "stderr").open("wb") as stderr:
                process = await asyncio.create_subprocess_exec(
                    *command_of(replay),
                    env=self._environment | {SUPERVISOR_FD: str(theirs)},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=stderr,
                    pass_fds=(theirs,),
                    start_new_session=True,
                )
            exited = asyncio.create_task(process.wait())
            try:
                await _until_over(replay, exited, end)
                took_too_long = not (exited.done() or end.is_set() or replay.asked_to_end())
            finally:
                # Also where this process ends: the next one starts the replay again.
                await _stop(process, exited)
                # One that is killed leaves there what its query had written.
                spilled = self._spills / f"replay-{process.pid}"
                await asyncio.to_thread(shutil.rmtree, spilled, ignore_errors=True)
        finally:
            os.close(theirs)
            os.close(ours)
            del self._ends[replay.id]
        if took_too_long:
            reason = "it takes too long: narrow the time or the rules"
            return replace(replay.standing, state="failed", reason=reason)
        return outcome_of(replay, exited.result())


@asynccontextmanager
async def open_runner(settings: Settings) -> AsyncIterator[ReplayRunner]:
    """The runner of this process; what it runs at the end goes on at the next start."""
    runner = ReplayRunner(settings)
    runner.take_up()
    async with beside(*(runner.work() for _ in range(settings.replays_at_once))):
        yield runner


def command_of(replay: Replay) -> list[str]:
    """The command that runs a replay."""
    asked = replay.asked
    options = {
        "--from": asked.start,
        "--to": asked.end,
        "--rules": str(replay.rules),
        "--json": str(replay.run / "result.json"),
        "--progress-file": str(replay.run / "progress.json"),
    } | ({"--bank": asked.bank_id} if asked.bank_id is not None else {})
    # Joined by =: a bank's ID may look like an option.
    words = [f"{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "device_ledger", "replay", *words]


async def _until_over(replay: Replay, exited: asyncio.Task[int], end: asyncio.Event) -> None:
    """Return once a replay's process ended, is to end, or has run for as long as it may."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + RUN_SECONDS_MAX
    while not exited.done() and not end.is_set() and not replay.asked_to_end():
        left = deadline - clock()
        if left <= 0:
            return
        ended = asyncio.create_task(end.wait())
        await asyncio.wait(
            {exited, ended}, timeout=min(LOOK_SECONDS, left), return_when="FIRST_COMPLETED"
        )
        ended.cancel()


async def _stop(process: asyncio.subprocess.Process, exited: asyncio.Task[int]) -> None:
    if not exited.done():
        process.terminate()
        await asyncio.wait({exited}, timeout=GRACE_SECONDS)
    if not exited.done():
        process.kill()
        await asyncio.wait({exited})


def outcome_of(replay: Replay, code: int) -> Standing:
    """How a replay stands whose process ended with that exit code."""
    if replay.asked_to_end():
        return replace(replay.standing, state="cancelled")
    result = replay.run / "result.json"
    if code == 0 and result.exists():
        if result.stat().st_size <= RESULT_BYTES_MAX:
            return replace(replay.standing, state="done")
        result.unlink()
        reason = "it has more alerts than a result may hold: narrow the time or the rules"
        return replace(replay.standing, state="failed", reason=reason)
    return replace(replay.standing, state="failed", reason=_reason(replay)[:1000])


def _reason(replay: Replay) -> str:
    """What the process said at its end."""
    lines = (replay.run / "stderr").read_text(errors="replace").strip().splitlines()
    last = lines[-1] if lines else ""
    if last.startswith(_SAID):
        return last.removeprefix(_SAID).replace(f"{replay.rules}/", "")
    # An error that nobody foresaw can hold values of any bank.
    return f"it ended by {last.partition(':')[0] or 'itself'}"


@contextmanager
def _claimed(replay: Replay) -> Iterator[bool]:
    """Whether no other process runs it; none will while the block lasts."""
    try:
        lock = os.open(replay.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(lock)


def _environment(settings: Settings) -> dict[str, str]:
    """What a replay's process needs of this one's settings."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_KEPT_FROM_CHILDREN)
    }
    environment |= {
        "DEVICE_LEDGER_HOME": str(settings.home.resolve()),
        "DEVICE_LEDGER_BROKER_PORT": str(settings.broker_port),
        # Tracebacks as Python writes them: their last line is the error.
        "TYPER_STANDARD_TRACEBACK": "1",
    }
    if settings.kafka_bootstrap_servers:
        environment["KAFKA_BOOTSTRAP_SERVERS"] = settings.kafka_bootstrap_servers
    return environment
