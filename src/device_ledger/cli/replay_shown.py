"""How a replay looks: its progress, and what it comes to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

PATIENCE = 3.0
"""Seconds from which a replay shows its progress."""
SHOWN_MAX = 20
"""New and gone alerts that are shown; ``--json`` has all."""
_FILE_SECONDS = 0.25


class Meter:
    """Shows how far a replay is, on stderr and in a file."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._begun = self._written = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=None, rate="")
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._progress.stop()

    def report(self, at: Any) -> None:
        """Take how far it is: see `projections.replay.replaying.Progress`."""
        now = time.monotonic()
        if not self._shown and now - self._begun >= PATIENCE:
            self._progress.start()
            self._shown = True
        left = "" if at.seconds_left is None else f", {at.seconds_left:,.0f} s left"
        self._progress.update(
            self._task,
            description=at.rule,
            completed=at.read,
            total=at.total,
            rate=f"{at.per_second:,.0f} entries/s{left}",
        )
        is_end = at.read in {0, at.total}
        if self._file is not None and (is_end or now - self._written >= _FILE_SECONDS):
            self._written = now
            self._write(self._file, at)

    def _write(self, file: Path, at: Any) -> None:
        import orjson

        told = {
            "entriesRead": at.read,
            "total": at.total,
            "perSecond": round(at.per_second),
            "secondsLeft": None if at.seconds_left is None else round(at.seconds_left, 1),
            "rule": at.rule,
        }
        draft = file.with_name(f".{file.name}.new")
        draft.write_bytes(orjson.dumps(told))
        draft.replace(file)


def show_comparison(found: Any, *, compared: bool) -> None:
    """Print what a replay comes to: see `projections.replay.compare.Comparison`."""
    console = Console(soft_wrap=True, markup=False)
    console.print(f"{found.entries:,} entries from {found.asked.start} to {found.asked.end}")
    heads = ("rule", "alerts", "new", "gone", "same") if compared else ("rule", "alerts")
    table = Table(*heads)
    for rule in found.rules:
        alerts = [one for one in found.found if one.rule == rule]
        same = sum(one.id in found.known for one in alerts)
        gone = sum(one.data["rule"] == rule for one in found.gone)
        counts = (len(alerts), len(alerts) - same, gone, same)
        table.add_row(rule, *map(str, counts[: len(heads) - 1]))
    console.print(table)
    new = [
        (one.at, one.rule, one.level, one.group) for one in found.found if one.id not in found.known
    ]
    gone = [
        (one.data["at"], one.data["rule"], one.data["level"], one.data["group"])
        for one in found.gone
    ]
    _list(console, "new" if compared else "alert", new)
    _list(console, "gone", gone)
    if found.late:
        named = ", ".join(found.late[:SHOWN_MAX])
        console.print(f"{len(found.late):,} records came too late for the alerts of then: {named}")


def _list(console: Console, word: str, alerts: list[tuple[str, str, str, dict[str, str]]]) -> None:
    for at, rule, level, group in alerts[:SHOWN_MAX]:
        console.print(f"{word:5} {at} {rule} ({level}) {_group(group)}")
    if len(alerts) > SHOWN_MAX:
        console.print(f"{word:5} and {len(alerts) - SHOWN_MAX:,} more: --json has all")


def show_alert(alert: Any) -> None:
    """Print an alert of what came."""
    Console(soft_wrap=True, markup=False, highlight=False).print(
        f"{alert.at} {alert.rule} ({alert.level}) {_group(alert.group)}"
    )


def _group(group: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in group.items())
