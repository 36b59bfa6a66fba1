"""What is on the disk, and outlives a power cut."""

import os
from pathlib import Path
from typing import Final

DRAFT: Final = ".draft"
"""How the name of a file ends that is not whole yet; it begins with a dot."""


def sync(path: Path) -> None:
    """Return when a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Replace a file, or make one: it is there whole or as it was, also after a power cut.

    By one process at a time: what another has begun would be taken for this one's.
    """
    draft = path.with_name(f".{path.name}{DRAFT}")
    with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)
