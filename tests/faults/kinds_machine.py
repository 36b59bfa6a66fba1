"""What befalls the machine: a full disk, a clock that jumps, a process that ends or hangs."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.kinds import Kind, Stage
from tests.faults.points import all_points
from tests.faults.rig import Fault, Rig

FULL = 4_096
"""Bytes: no file grows, nor is written, beyond."""
JUMP_SECONDS = 1_500.0


def disk_full(name: str) -> Kind:
    """Whatever a process writes, the disk takes no more of it for a while."""

    async def fill(stage: Stage) -> None:
        with _full(stage.rig, name):
            await stage.some_answers(5) if name in {"streams", "broker"} else None
            await stage.a_while(4.0)

    return fill


def ended(name: str) -> Kind:
    """A process is killed at any moment."""

    async def kill(stage: Stage) -> None:
        await stage.some_answers()
        stage.rig.signal(name, signal.SIGKILL)

    return kill


def hung(name: str) -> Kind:
    """A process hangs at any moment, for a while."""

    async def hang(stage: Stage) -> None:
        await stage.some_answers()
        stage.rig.signal(name, signal.SIGSTOP)
        try:
            await stage.a_while(4.0)
        finally:
            stage.rig.signal(name, signal.SIGCONT)

    return hang


async def clock_jumps(stage: Stage) -> None:
    """The clocks of API, relay and worker jump, each by itself, and back later."""
    for name in ("api", "relay", "streams"):
        stage.rig.order(name, clock=stage.chance.uniform(-JUMP_SECONDS, JUMP_SECONDS))
    await stage.some_answers(40)
    for name in ("api", "relay", "streams"):
        stage.rig.order(name)


async def commits_late(stage: Stage) -> None:
    """A transaction that has its ids commits long after it got them; others come meanwhile."""
    rig = stage.rig
    [written] = [one for one in all_points() if one.text == "self._write_receipts(c, unit)"]
    due = len(rig.fired("api")) + 1
    rig.order("api", Fault(written.name, 1, "SIGSTOP"))
    await rig.until_fired("api", due)
    await stage.a_while(6.0)
    rig.signal("api", signal.SIGCONT)


@contextmanager
def _full(rig: Rig, name: str) -> Iterator[None]:
    before = {}
    for pid in rig.pids(name):
        with _gone():
            before[pid] = _prlimit(pid, "--fsize", "--output=SOFT", "--noheadings")
            _prlimit(pid, f"--fsize={FULL}:")
    try:
        yield
    finally:
        for pid, limit in before.items():
            with _gone():
                _prlimit(pid, f"--fsize={limit}:")


def _gone() -> suppress:
    """Let a process have ended meanwhile."""
    return suppress(FileNotFoundError, subprocess.CalledProcessError)


def _prlimit(pid: int, *words: str) -> str:
    """Ask or set a limit as the process's own user: not everywhere may root do so for others."""
    of = Path(f"/proc/{pid}").stat()
    command = ["prlimit", f"--pid={pid}", *words]
    done = subprocess.run(
        command, user=of.st_uid, group=of.st_gid, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
