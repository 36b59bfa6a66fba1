"""What the detector remembers: up to when it has evaluated, and what it had seen by then."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from projections.archive.files import write_json

FILE = "detector.json"


@dataclass(slots=True)
class State:
    """``passed`` gives for each group of rules the recorded time up to which all its alerts are on
    the alerts topic: ``events`` for rules that read no access records, ``access`` for the others.
    ``seen`` gives for each log and partition the offset that came next when that was written, and
    ``alerts`` the offset of the alerts topic from which later alerts lie. ``failing`` says of rules
    that can't be used why.
    """

    passed: dict[str, str]
    seen: dict[str, dict[int, int]]
    alerts: int
    rules: list[str] = field(default_factory=list)
    failing: dict[str, str] = field(default_factory=dict)

    def save(self, archive: Path) -> None:
        """Write it, whole or not at all."""
        write_json(archive / FILE, asdict(self))


def load_state(archive: Path) -> State | None:
    """What was saved, if anything was."""
    try:
        told: dict[str, Any] = orjson.loads((archive / FILE).read_bytes())
    except FileNotFoundError:
        return None
    seen = {log: _numbers(told["seen"].get(log, {})) for log in (EVENTS_LOG, ACCESS_LOG)}
    return State(told["passed"], seen, told["alerts"], told["rules"], told["failing"])


def _numbers(offsets: Mapping[str, int]) -> dict[int, int]:
    return {int(partition): offset for partition, offset in offsets.items()}
