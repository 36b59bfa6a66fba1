"""The rules of a directory, as they are at the moment."""

import logging
from hashlib import sha256
from pathlib import Path

from projections.detection.rules import Rule, RuleError, load_rules

log = logging.getLogger(__name__)


class RuleBook:
    """The rules that can be used, by name, and why the others can't. A file that changes, comes or
    goes is noticed by `refresh`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[str, Rule | str]] = {}

    @property
    def rules(self) -> list[Rule]:
        """Those that can be used."""
        return [rule for _, rule in self._read.values() if isinstance(rule, Rule)]

    @property
    def failing(self) -> dict[str, str]:
        """Why the others can't, by file."""
        told = {path.name: found for path, (_, found) in self._read.items()}
        return {name: found for name, found in told.items() if isinstance(found, str)}

    def refresh(self) -> bool:
        """Read what is new in the directory; whether anything is."""
        files = {path: _hash(path) for path in sorted(self._folder.glob("*.yml"))}
        if files == {path: known for path, (known, _) in self._read.items()}:
            return False
        self._read = {
            path: self._read[path] if self._knows(path, found) else (found, _load(path))
            for path, found in files.items()
        }
        log.info("%d rules are run from now on, %d can't be", len(self.rules), len(self.failing))
        return True

    def _knows(self, path: Path, found: str) -> bool:
        return path in self._read and self._read[path][0] == found


def _hash(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return type(error).__name__


def _load(path: Path) -> Rule | str:
    try:
        [rule] = load_rules([path])
    except RuleError as error:
        log.warning("a rule can't be used: %s", error)
        return str(error)
    return rule
