"""Starts children in order, keeps them running, and stops them: the heart of ``up``."""

import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

from device_ledger.cli.child import Child

STOPPING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DEATHS: Final = 5
"""So many deaths of one child within ``DEATHS_WITHIN`` seconds end everything."""
DEATHS_WITHIN: Final = 60.0


class StopAsked(Exception):  # noqa: N818 (what happened, as with StopIteration)
    """A signal asked for the end."""


@dataclass(eq=False)
class Part:
    """A child, and the names of those that must serve before it starts."""

    child: Child
    needs: tuple[str, ...] = ()
    deaths: list[float] = field(default_factory=list)
    restart_at: float | None = None


class Supervisor:
    """Runs parts until it is asked to stop; to be used in the main thread, once."""

    def __init__(self, parts: Sequence[Part], tell: Callable[[str], None]) -> None:
        self._parts = parts
        self._tell = tell
        self._started: list[Part] = []
        self._happened: SimpleQueue[Part | None] = SimpleQueue()
        self._asked = 0

    def run(self, waiting: Callable[[list[str]], None], served: Callable[[], None]) -> None:
        """Start all, then keep them running until a signal asks to stop; then stop all.

        ``waiting`` is told now and then who doesn't serve yet, ``served`` once all do.

        Raises:
            ChildEnded: a child ended before it served, or died too often; all are stopped then.
        """
        before = {number: signal.signal(number, self._on_signal) for number in STOPPING_SIGNALS}
        try:
            self._start_all(waiting)
            served()
            while True:
                self._keep_running()
        except StopAsked:
            self._tell("Stopping")
        finally:
            self._stop_all()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked += 1
        self._happened.put(None)
        if self._asked > 1:
            for part in self._started:
                part.child.kill_later()

    def _start_all(self, waiting: Callable[[list[str]], None]) -> None:
        missing = list(self._parts)
        while missing:
            names = [part.child.name for part in missing]
            waiting(names)
            for part in missing:
                if part not in self._started and not set(part.needs) & set(names):
                    self._started.append(part)
                    self._start(part)
            ended = self._next(0.05)
            if ended is not None:
                ended.child.check()
            missing = [
                part for part in missing if part not in self._started or not part.child.is_ready()
            ]

    def _start(self, part: Part) -> None:
        part.restart_at = None
        part.child.start()
        threading.Thread(target=self._watch, args=(part,), daemon=True).start()

    def _watch(self, part: Part) -> None:
        part.child.wait()
        self._happened.put(part)

    def _next(self, timeout: float) -> Part | None:
        """The next part that ended, or None where none did in time."""
        try:
            happened = self._happened.get(timeout=timeout)
        except Empty:
            return None
        if happened is None:
            raise StopAsked
        return happened

    def _keep_running(self) -> None:
        due = [part.restart_at for part in self._started if part.restart_at is not None]
        # A bounded wait: not every system wakes the main thread for a signal.
        ended = self._next(max(0.0, min([*due, time.monotonic() + 1.0]) - time.monotonic()))
        if ended is not None:
            self._put_off(ended)
        for part in self._started:
            if part.restart_at is not None and part.restart_at <= time.monotonic():
                self._start(part)

    def _put_off(self, part: Part) -> None:
        """Set when a part that died starts again: later with each death of the last minute."""
        now = time.monotonic()
        part.deaths = [death for death in part.deaths if death > now - DEATHS_WITHIN] + [now]
        if len(part.deaths) >= DEATHS:
            part.child.check()
        delay = 0.25 * 2 ** len(part.deaths)
        part.restart_at = now + delay
        self._tell(
            f"{part.child.name} ended with exit code {part.child.exit_code}, "
            f"starts again in {delay:g} s: see {part.child.log}"
        )

    def _stop_all(self) -> None:
        for part in reversed(self._started):
            part.child.stop()
