"""What a backup says of itself: a file beside the copies, written last."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from device_ledger.backup.files import digest, is_sound
from device_ledger.durable import sync

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1

LEDGER: Final = "ledger"
VAULT: Final = "vault"


class BackupError(Exception):
    """A backup can't be made or used; one line for the operator."""


@dataclass(frozen=True)
class Manifest:
    """``kind`` is ``ledger`` or ``vault``; ``files`` has the SHA-256 of each copy, by its place
    below the home. ``last_id`` and ``last_at`` are of the last event, for a ledger that has one."""

    kind: str
    version: str
    taken_at: str
    files: dict[str, str] = field(default_factory=dict)
    ledger_id: str = ""
    epoch: int = 0
    last_id: int = 0
    last_at: str = ""

    def write(self, folder: Path) -> None:
        """Write it, durable on return."""
        path = folder / MANIFEST
        path.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")
        path.chmod(0o600)
        sync(path)


def read_manifest(folder: Path, kind: str) -> Manifest:
    """What a backup says of itself.

    Raises:
        BackupError: it is no backup of this kind, or one of a newer format.
    """
    try:
        told: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        form, found = told.pop("format"), Manifest(**told)
    except (OSError, ValueError, TypeError, KeyError):
        raise BackupError(f"{folder} is no backup: it has no {MANIFEST} that can be read") from None
    if form != FORMAT:
        raise BackupError(f"{folder} is a backup of format {form}: use the version that made it")
    if found.kind != kind:
        raise BackupError(f"{folder} is a backup of the {found.kind}, not of the {kind}")
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in found.files):
        raise BackupError(f"{folder} names files outside of itself")
    return found


def check(path: Path, expected: str) -> None:
    """Make sure that a copy is byte for byte what was written, and a database in order.

    Raises:
        BackupError: it is not.
    """
    try:
        same = digest(path) == expected
    except OSError as error:
        raise BackupError(f"{path} can't be read: {error.strerror}") from None
    if not same:
        raise BackupError(f"{path} is damaged: its SHA-256 is not the one that was noted")
    if path.suffix == ".db" and not is_sound(path):
        raise BackupError(f"{path} is damaged: SQLite's integrity check fails")
