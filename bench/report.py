"""What was measured: rows of rounds, as a table and as ``bench/results.json``."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

import psutil
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from bench.detection import Verdict

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
    _write({**_circumstances(postgres), "rows": [asdict(row) for row in rows]})


def write_detection(rows: list[Row], verdicts: list[Verdict]) -> None:
    """Show what the rules found and how fast, and write it to ``bench/results.json``."""
    _show_verdicts(verdicts)
    _show(rows)
    told = [asdict(one) | {"recall": one.recall, "precision": one.precision} for one in verdicts]
    rounds = [asdict(row) for row in rows]
    _write({"detection": {**_circumstances(), "rules": told, "rows": rounds}})


def _write(told: dict[str, object]) -> None:
    """Put it beside what other cases have written."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(known | told, indent=1) + "\n")


def _circumstances(postgres: str | None = None) -> dict[str, object]:
    return {
        "machine": _machine(),
        "versions": _versions(postgres),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _show_verdicts(verdicts: list[Verdict]) -> None:
    table = Table(title="Rules on a labelled day")
    for heading in ("", "attacks", "found", "recall", "alerts", "precision", "false alarms"):
        table.add_column(heading, justify="left" if heading in ("", "false alarms") else "right")
    for one in verdicts:
        false = ", ".join(f"{kind} {count}" for kind, count in one.false.items())
        shares = f"{one.recall:.2f}", f"{one.precision:.2f}"
        counts = str(one.attacks), str(one.found), str(one.alerts)
        table.add_row(one.rule, *counts[:2], shares[0], counts[2], shares[1], false)
    Console(width=None if os.isatty(1) else 140).print(table)


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


def _versions(postgres: str | None) -> dict[str, str]:
    servers = {"postgresql": postgres} if postgres else {}
    return {
        "device-ledger": version("device-ledger"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **servers,
        **{name: version(name) for name in _PACKAGES},
    }
