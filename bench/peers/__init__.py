"""What we are compared with, run for real: each is installed by its script beside it."""

from pathlib import Path
from typing import Final

INSTALLED: Final = Path(__file__).with_name("installed")


class MissingPeerError(Exception):
    """A program that takes part is not installed; one line that says how to install it."""


def installed(name: str, script: str) -> Path:
    """Where a peer was installed.

    Raises:
        MissingPeerError: it was not.
    """
    path = INSTALLED / name
    if not path.exists():
        raise MissingPeerError(f"{name} is not installed: sh bench/peers/{script}")
    return path
