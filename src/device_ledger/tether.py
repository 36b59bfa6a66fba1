"""A child of ours doesn't outlive the process that started it, however that ends.

The supervisor holds one end of a pipe and writes nothing; a child reads the other. The end of the
file means that the supervisor is gone, killed without a word: then the child stops as on SIGTERM.
"""

import os
import signal
import threading
from typing import Final

SUPERVISOR_FD: Final = "DEVICE_LEDGER_SUPERVISOR_FD"
"""Environment variable that names the descriptor a child reads."""

_GRACE: Final = 30.0


def watch_supervisor() -> None:
    """Stop this process when the supervisor that started it is gone; without one do nothing."""
    descriptor = os.environ.pop(SUPERVISOR_FD, "")
    if descriptor:
        os.set_inheritable(int(descriptor), False)
        threading.Thread(target=_watch, args=(int(descriptor),), daemon=True).start()


def _watch(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    # Reached only where the main thread hangs in its clean-up: this thread ends with the process.
    if not threading.Event().wait(_GRACE):
        os.kill(os.getpid(), signal.SIGKILL)
