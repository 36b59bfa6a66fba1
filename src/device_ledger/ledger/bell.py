"""The bell by which a writer of the SQLite event store wakes the relay: a named pipe.

It carries nothing. Where nobody listens, or it can't be rung, the relay finds what was written when
it next looks by itself.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_RING = b"\0"
_MANY = 65_536


def bell_of(event_store: Path) -> Path:
    """Where the pipe of an event store lies."""
    return event_store.with_name("relay.bell")


def ring(bell: Path) -> None:
    """Wake whoever listens; never waits, never fails."""
    # No such pipe, nobody who reads it, or full of rings that were not heard yet.
    with suppress(OSError):
        pipe = os.open(bell, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(pipe, _RING)
        finally:
            os.close(pipe)


class Listening:
    """Hears the bell; made by `listening`."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._rung = asyncio.Event()

    def heard(self) -> None:
        """Take all rings there are."""
        with suppress(BlockingIOError):
            os.read(self._pipe, _MANY)
        self._rung.set()

    async def rung(self, within: float) -> bool:
        """Wait until it rings, or has rung since the last call; False after ``within`` seconds."""
        try:
            async with asyncio.timeout(within):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True


@contextmanager
def listening(bell: Path) -> Iterator[Listening]:
    """Listen to the bell in the running event loop: one process does."""
    # One that was killed left it.
    with suppress(FileExistsError):
        os.mkfifo(bell, 0o600)
    # To write as well, else each writer that closes it would be its end.
    pipe = os.open(bell, os.O_RDWR | os.O_NONBLOCK)
    made = Listening(pipe)
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe, made.heard)
    try:
        yield made
    finally:
        loop.remove_reader(pipe)
        os.close(pipe)
        bell.unlink(missing_ok=True)
