"""The tables of what was measured: on the terminal, and in the docs between markers."""

import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.markdown import Markdown

from bench.report import Row, results

PAGE: Final = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_HEADINGS: Final = ("what", "unit", "ours", "reference", "ratio", "goal", "met")
_ALIGNED: Final = "|---|---|---|---|---|---|---|"


def show(rows: list[Row]) -> None:
    """Print the table of these rows."""
    Console().print(Markdown("\n".join(table(rows))))


def write(marker: str, content: str) -> None:
    """Replace what stands in the docs between ``<!-- MARKER: … -->`` and the next end.

    Raises:
        ValueError: the page has no such place.
    """
    page = PAGE.read_text()
    place = re.compile(rf"(<!-- {marker}: [^\n]* -->\n).*?(<!-- end -->)", re.DOTALL)
    if not place.search(page):
        raise ValueError(f"{PAGE.name} has no place for {marker}")
    PAGE.write_text(place.sub(lambda found: found[1] + content + "\n" + found[2], page))


def write_results() -> None:
    """Write the tables of all that ``results.json`` has, a part a case; with the case's plot where
    it made one, ``docs/CASE.svg``.
    """
    known = results()
    rows = {row["name"]: Row.of_json(row) for row in known["rows"]}
    parts = []
    for name, case in known["cases"].items():
        parts += [_heading(name, case), "", *table([rows[one] for one in case["rows"]]), ""]
        if PAGE.with_name(f"{name}.svg").exists():
            parts += [f"![{name}]({name}.svg)", ""]
    write("results", "\n".join(parts).rstrip())


def table(rows: list[Row]) -> Iterator[str]:
    """Lines of Markdown: medians with the least and the most, the ratio and its goal."""
    yield f"| {' | '.join(_HEADINGS)} |"
    yield _ALIGNED
    for row in rows:
        ratio = "" if row.ratio is None else _short(row.ratio)
        met = {None: "", True: "yes", False: "**no**"}[row.met]
        sides = _spread(row.rounds.ours), _spread(row.rounds.reference)
        yield f"| {row.name} | {row.unit} | {' | '.join(sides)} | {ratio} | {_goal(row)} | {met} |"


def _heading(name: str, case: dict[str, Any]) -> str:
    machine, numbers = case["machine"], case["versions"]
    run = "full run" if case["full"] else "quick run"
    versions = ", ".join(f"{one} {number}" for one, number in numbers.items())
    return (
        f"### `{name}`\n\n{case['date'][:10]}, {run}, {machine['processor']}, {machine['cores']}"
        f" cores, {machine['memory_gib']:g} GiB, {machine['system']}; {versions}."
    )


def _goal(row: Row) -> str:
    if row.goal is None:
        return ""
    bound = "≥" if row.better == "higher" else "≤"
    unit = "" if row.rounds.reference else f" {row.unit}"
    return f"{bound} {row.goal:,g}{unit}"


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    return f"{_short(median(values))} ({_short(min(values))} to {_short(max(values))})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
