"""How a process tells that it serves: ``HOME/run/<name>.ready`` is there while it does."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def ready_file(home: Path, name: str) -> Path:
    """Where a process of that name tells that it is ready: JSON ``{"pid": …}``."""
    return home / "run" / f"{name}.ready"


@contextmanager
def ready(home: Path, name: str) -> Iterator[None]:
    """Tell that this process serves, for as long as the block runs.

    A process that is killed leaves the file behind: ``pid`` shows whether it is still there.
    """
    path = ready_file(home, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(json.dumps({"pid": os.getpid()}))
    part.replace(path)
    try:
        yield
    finally:
        if is_ready(path, os.getpid()):
            path.unlink(missing_ok=True)


def is_ready(path: Path, pid: int) -> bool:
    """Whether the process of that ID has told that it serves."""
    try:
        return bool(json.loads(path.read_text())["pid"] == pid)
    except FileNotFoundError:
        return False
