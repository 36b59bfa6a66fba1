"""Making sure that no process of ours works on a home, for as long as its files are changed."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCKS: Final = {
    "run/up.lock": "`device-ledger up`",
    "ledger/writer.lock": "the API",
    "ledger/relay.lock": "the relay",
    "read-models/writing.lock": "a stream worker",
}
"""The lock files that processes hold while they work, and who does."""


class NotAloneError(Exception):
    """A process works on the home; one line for the operator."""


@contextmanager
def alone_on(home: Path) -> Iterator[None]:
    """Hold the locks of all that write below a home.

    Raises:
        NotAloneError: somebody works there.
    """
    held = []
    try:
        for name, holder in LOCKS.items():
            path = home / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            held.append(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            try:
                fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise NotAloneError(f"{holder} works on {home}: stop all processes first") from None
        yield
    finally:
        for lock in held:
            os.close(lock)
