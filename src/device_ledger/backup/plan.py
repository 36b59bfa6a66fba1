"""What a restore is about to put in place: once it is written down, only going on is right."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from device_ledger.durable import sync, write_whole

FOLDER: Final = "restoring"
HALF_RESTORED: Final = (
    "a restore was interrupted: run `device-ledger restore` again, which goes on with it"
)
_PLAN: Final = "plan.json"
_SIDES: Final = ("-wal", "-shm")
"""What lies beside a database of SQLite's: never to be read with another one."""


@dataclass(frozen=True)
class Plan:
    """``names`` are of files below the home, in the order of their moves; ``aside`` are those of
    them whose old file is kept in ``kept``, ``gone`` are files that have no successor."""

    names: list[str]
    aside: list[str]
    kept: str
    gone: list[str]

    def write(self, home: Path) -> None:
        """Write it, durable on return: from now on the restore is to be finished."""
        write_whole(home / FOLDER / _PLAN, json.dumps(asdict(self)).encode())


def is_half_restored(home: Path) -> bool:
    """Whether a restore was interrupted after it had begun to put files in place."""
    return (home / FOLDER / _PLAN).exists()


def finish(home: Path) -> None:
    """Put all in place that is not yet; done again after a crash at any moment, it goes on."""
    plan = Plan(**json.loads((home / FOLDER / _PLAN).read_text()))
    for name in plan.gone:
        (home / name).unlink(missing_ok=True)
    for name in plan.names:
        if (home / FOLDER / name).exists():
            _put(home, name, home / plan.kept if name in plan.aside else None)
    (home / FOLDER / _PLAN).unlink()
    sync(home / FOLDER)
    shutil.rmtree(home / FOLDER)


def _put(home: Path, name: str, kept: Path | None) -> None:
    target = home / name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # What was committed last may be in the log beside it, so that goes with it, and goes first.
    for old in (*(target.with_name(target.name + side) for side in _SIDES), target):
        if kept is None or not old.exists():
            old.unlink(missing_ok=True)
        else:
            kept.mkdir(mode=0o700, parents=True, exist_ok=True)
            old.rename(kept / old.name)
            sync(kept)
    (home / FOLDER / name).replace(target)
    sync(target.parent)
