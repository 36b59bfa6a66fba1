"""What is kept of replays: a directory each below ``DEVICE_LEDGER_HOME/replays``.

``asked.json`` is what was asked, ``rules/`` the rules as they were then, ``state.json`` how far it
is, ``cancelled`` is there once somebody asked for its end, and ``run-<n>/`` has the files of the
n-th process that ran it. All are written whole, so that whoever reads after a crash reads the
truth. IDs are UUIDv7: their order is that of asking.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import orjson
import uuid_utils

from device_ledger.durable import write_whole

KEPT_MAX: Final = 50
"""Replays that are kept of each bank, and as many of those over all banks."""
RESULT_BYTES_MAX: Final = 16 << 20

State = Literal["queued", "running", "done", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked: by whom, when, over which time, of which bank (none: all), by which rules."""

    by: str
    at: str
    start: str
    end: str
    bank_id: str | None
    rules: Sequence[str]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a replay is. ``runs`` counts the processes that were started for it."""

    state: State
    runs: int = 0
    started_at: str | None = None
    ended_at: str | None = None
    reason: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in {"queued", "running"}


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay as its files tell it."""

    id: str
    folder: Path
    asked: Asked
    standing: Standing

    @property
    def rules(self) -> Path:
        """The directory of its rules."""
        return self.folder / "rules"

    @property
    def run(self) -> Path:
        """The directory of the process that was started last."""
        return self.folder / f"run-{self.standing.runs}"

    def progress(self) -> dict[str, Any] | None:
        """How far the process that runs it is, as it tells itself."""
        return _read(self.run / "progress.json")

    def result(self) -> dict[str, Any] | None:
        """What came of it, where it is done."""
        return _read(self.run / "result.json") if self.standing.state == "done" else None

    def asked_to_end(self) -> bool:
        """Whether somebody cancelled it."""
        return (self.folder / "cancelled").exists()

    def cancel(self) -> None:
        """Ask for its end, in whichever process it runs."""
        (self.folder / "cancelled").touch()

    def become(self, standing: Standing) -> "Replay":
        """Keep how far it is now."""
        write_whole(self.folder / "state.json", orjson.dumps(asdict(standing)))
        return replace(self, standing=standing)


class ReplayFiles:
    """The replays below a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, replay_id: str, asked: Asked, rules: Mapping[str, str]) -> Replay:
        """Keep a new replay with its rules, by file name.

        Raises:
            OSError: the disk doesn't take it.
        """
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        making = self._root / f".{replay_id}"
        (making / "rules").mkdir(mode=0o700, parents=True)
        for name, text in rules.items():
            (making / "rules" / name).write_text(text)
        write_whole(making / "asked.json", orjson.dumps(asdict(asked)))
        replay = Replay(replay_id, making, asked, Standing("queued")).become(Standing("queued"))
        making.rename(self._root / replay_id)
        return replace(replay, folder=self._root / replay_id)

    def find(self, replay_id: str) -> Replay | None:
        """A replay that is kept; ``replay_id`` must be a UUID."""
        folder = self._root / replay_id
        asked, standing = _read(folder / "asked.json"), _read(folder / "state.json")
        if asked is None or standing is None:
            return None
        replay = Replay(replay_id, folder, Asked(**asked), Standing(**standing))
        if replay.asked_to_end() and not replay.standing.is_over:
            return replace(replay, standing=replace(replay.standing, state="cancelled"))
        return replay

    def all(self) -> list[Replay]:
        """All that are kept, the newest first."""
        if not self._root.is_dir():
            return []
        names = sorted((one.name for one in self._root.iterdir()), reverse=True)
        found = (self.find(name) for name in names if not name.startswith("."))
        return [replay for replay in found if replay is not None]

    def forget_old(self, bank_id: str | None) -> None:
        """Remove a bank's oldest replays that are over, so that ``KEPT_MAX`` stay."""
        over = [one for one in self.all() if one.asked.bank_id == bank_id and one.standing.is_over]
        for replay in over[KEPT_MAX:]:
            shutil.rmtree(replay.folder, ignore_errors=True)

    def forget_halves(self) -> None:
        """Remove what a process that was killed had begun to keep."""
        if self._root.is_dir():
            for folder in self._root.glob(".*"):
                shutil.rmtree(folder, ignore_errors=True)


def new_id() -> str:
    """The ID of the next replay."""
    return str(uuid_utils.uuid7())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, orjson.JSONDecodeError):
        return None
    return found
