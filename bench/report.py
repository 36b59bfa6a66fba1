"""What was measured: rows of rounds, as a table and as ``bench/results.json``."""

import json
import os
import platform
import sqlite3
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final, Literal

import psutil
from rich.console import Console
from rich.table import Table

RESULTS: Final = Path(__file__).with_name("results.json")
_PACKAGES: Final = (
    "aiokafka",
    "eventsourcing",
    "fastapi",
    "faust-streaming",
    "httptools",
    "psycopg",
    "uvicorn",
    "uvloop",
)


@dataclass
class Rounds:
    """A value for each round; the reference's are empty where there is none."""

    ours: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)


@dataclass
class Row:
    """One measure. ``goal`` is a promise's value, None where none was promised."""

    name: str
    unit: str
    better: Literal["higher", "lower"]
    goal: float | None = None
    rounds: Rounds = field(default_factory=Rounds)


def write(rows: list[Row], postgres: str) -> None:
    """Show the table of medians and write all rounds to ``bench/results.json``."""
    _show(rows)
    document = {
        "machine": _machine(),
        "versions": _versions(postgres),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def _show(rows: list[Row]) -> None:
    table = Table(title="Medians of rounds, least to most in brackets")
    for heading in ("", "ours", "reference", "ours / reference", "unit", "better", "goal"):
        table.add_column(heading, justify="left" if heading in ("", "unit") else "right")
    for row in rows:
        ours, reference = row.rounds.ours, row.rounds.reference
        ratio = f"{median(ours) / median(reference):.2f}" if reference else ""
        goal = "" if row.goal is None else f"{row.goal:g}"
        table.add_row(
            row.name, _spread(ours), _spread(reference), ratio, row.unit, row.better, goal
        )
    Console(width=None if os.isatty(1) else 140).print(table)


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    return f"{_short(median(values))} ({_short(min(values))} to {_short(max(values))})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


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


def _versions(postgres: str) -> dict[str, str]:
    return {
        "device-ledger": version("device-ledger"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "postgresql": postgres,
        **{name: version(name) for name in _PACKAGES},
    }
