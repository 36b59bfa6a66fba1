"""What was measured: rows of rounds, kept in ``bench/results.json`` case by case."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal

import psutil

RESULTS: Final = Path(__file__).with_name("results.json")
_PACKAGES: Final = (
    "aiokafka",
    "duckdb",
    "eventsourcing",
    "fastapi",
    "faust-streaming",
    "httptools",
    "psycopg",
    "uvicorn",
    "uvloop",
)

Better = Literal["higher", "lower"]
Begin = Callable[[str], None]
"""Tells what is measured from now on."""
Step = Callable[[], None]
"""Tells that a turn is over."""


class VoidRunError(Exception):
    """What was measured isn't what was meant to be: nothing of the case is written."""


@dataclass
class Rounds:
    """A value for each round; the reference's are empty where there is none."""

    ours: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)


@dataclass
class Row:
    """One measure. ``goal`` is a promise: of the ratio of medians, ours to the reference's, where
    there is a reference, else of our median; the least value where ``better`` is higher, the most
    where it is lower. None: nothing was promised.
    """

    name: str
    unit: str
    better: Better
    goal: float | None = None
    rounds: Rounds = field(default_factory=Rounds)

    @property
    def ratio(self) -> float | None:
        """Ours to the reference's, of medians."""
        if not self.rounds.reference:
            return None
        return median(self.rounds.ours) / median(self.rounds.reference)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        reached = median(self.rounds.ours) if self.ratio is None else self.ratio
        return reached >= self.goal if self.better == "higher" else reached <= self.goal

    def as_json(self) -> dict[str, Any]:
        """The row as ``results.json`` has it."""
        return {
            "name": self.name,
            "unit": self.unit,
            "goal": self.goal,
            "better": self.better,
            "rounds": {"ours": self.rounds.ours, "reference": self.rounds.reference},
        }

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> Row:
        """The row that ``as_json`` told of."""
        return cls(**told | {"rounds": Rounds(**told["rounds"])})


_noted: dict[str, str] = {}


def note_version(name: str, number: str) -> None:
    """Tell the version of a server or program that took part; it is written with the rows."""
    _noted[name] = number


def results() -> dict[str, Any]:
    """What was measured before; without cases where nothing was."""
    if not RESULTS.exists():
        return {"rows": [], "cases": {}}
    known: dict[str, Any] = json.loads(RESULTS.read_text())
    return known


def record(case: str, rows: list[Row], *, full: bool) -> None:
    """Put a case's rows in the place of those that it wrote before; those of other cases stay.

    Each case has the date, the machine and the versions of its own
    run, and the names of its rows; those of the newest run also stand above all.

    Raises:
        ValueError: two rows have one name.
    """
    known = results()
    cases = known["cases"]
    before = set(cases.pop(case, {"rows": []})["rows"])
    kept = [row for row in known["rows"] if row["name"] not in before]
    names = [row.name for row in rows]
    twice = {row["name"] for row in kept} & set(names)
    if twice or len(set(names)) < len(names):
        raise ValueError(f"rows of one name: {sorted(twice) or names}")
    run = {
        "machine": _machine(),
        "versions": _versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    told = {**run, "full": full, "rows": names}
    rows_told = kept + [row.as_json() for row in rows]
    _write({**known, **run, "rows": rows_told, "cases": {**cases, case: told}})


def keep(part: str, told: object) -> None:
    """Write a part of its own beside the rows, for what is no measure."""
    _write({**results(), part: told})


def _write(content: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _machine() -> dict[str, object]:
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _versions() -> dict[str, str]:
    return {
        "device-ledger": version("device-ledger"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **_noted,
        **{name: version(name) for name in _PACKAGES},
    }
