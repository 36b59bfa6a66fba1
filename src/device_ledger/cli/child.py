"""A process of ours as a child: in a session of its own, logging to a file, tied to its parent."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from device_ledger.ready import is_ready, ready_file
from device_ledger.tether import SUPERVISOR_FD

LOG_SIZE: Final = 10_000_000
"""Bytes from which a log is put aside when its process starts; three old ones are kept."""


class ChildEnded(RuntimeError):  # noqa: N818 (what happened, as with StopIteration)
    """A child ended before it served; the message has its exit code and its last words."""


class Child:
    """``device-ledger <name>`` on a home, or another command that tells when it is ready.

    It ends when this process does, however that ends: it reads a pipe that only this process
    holds open (``device_ledger.tether``).
    """

    def __init__(
        self,
        name: str,
        home: Path,
        environment: Mapping[str, str],
        *,
        command: Sequence[str] = (),
        inherited: tuple[int, ...] = (),
    ) -> None:
        self.name = name
        self.log = home / "logs" / f"{name}.log"
        self._command = command or (sys.executable, "-m", "device_ledger", name)
        self._inherited = inherited
        self._ready = ready_file(home, name)
        # Tracebacks as Python writes them: their last line is the error.
        plain = {"TYPER_STANDARD_TRACEBACK": "1"}
        self._environment = {**environment, **plain, "DEVICE_LEDGER_HOME": str(home)}
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: int | None = None

    @property
    def pid(self) -> int:
        """ID of the process that was started last."""
        return self._running().pid

    @property
    def exit_code(self) -> int | None:
        """Exit code of the process, None while it runs."""
        return self._running().poll()

    def start(self) -> None:
        """Start the process; an earlier one must have ended."""
        self._close_pipe()
        self._ready.unlink(missing_ok=True)
        theirs, self._pipe = os.pipe()
        with _opened_log(self.log) as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own command)
                self._command,
                env={**self._environment, SUPERVISOR_FD: str(theirs)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs, *self._inherited),
                start_new_session=True,
            )
        os.close(theirs)

    def is_ready(self) -> bool:
        """Whether the process has told that it serves."""
        return is_ready(self._ready, self.pid)

    def wait_until_ready(self) -> None:
        """Return once the process serves.

        Raises:
            ChildEnded: it never will.
        """
        while not self.is_ready():
            self.check()
            self.wait(0.05)

    def check(self) -> None:
        """Raise ``ChildEnded`` where the process is no more."""
        code = self.exit_code
        if code is not None:
            raise ChildEnded(
                f"{self.name} ended with exit code {code}: {self.last_words()} (see {self.log})"
            )

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until the process has ended, at most so many seconds; its exit code then."""
        try:
            return self._running().wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, grace: float = 30.0) -> None:
        """Stop the process in order and wait; after ``grace`` seconds kill it."""
        self._running().terminate()
        if self.wait(grace) is None:
            self.kill()
        self._close_pipe()

    def kill_later(self) -> None:
        """Send SIGKILL without waiting: all that a signal handler may do."""
        self._running().kill()

    def kill(self) -> None:
        """End the process at once (SIGKILL) and wait."""
        self._running().kill()
        self._running().wait()
        self._close_pipe()

    def last_words(self) -> str:
        """The last line of its log."""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("device-ledger: ") if lines else "it said nothing"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def _opened_log(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size >= LOG_SIZE:
        for number in (2, 1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number + 1}"))
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")
