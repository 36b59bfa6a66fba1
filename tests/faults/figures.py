"""The figures of rounds that were played, for the screen and for docs/reliability.md."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from tests.faults.points import all_points
from tests.faults.rounds import Result

PAGE: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN: Final = "<!-- figures -->"
END: Final = "<!-- end of figures -->"


def read(results: Path) -> list[Result]:
    """The results in a file, of a round that was played again the last; none without a file."""
    if not results.exists():
        return []
    told = [Result(**json.loads(line)) for line in results.read_text().splitlines()]
    return [*{(one.seed, one.store, one.name): one for one in told}.values()]


def missing(results: Sequence[Result]) -> list[str]:
    """The fault points that no round has had a fault at."""
    had = {point for one in results for point in one.points}
    return [point.name for point in all_points() if point.name not in had]


def summary(results: Sequence[Result]) -> str:
    """One line for all."""
    failed = [one for one in results if one.violations]
    return (
        f"{len(results)} rounds, {sum(one.commands for one in results)} commands answered, "
        f"{len(failed)} rounds failed"
    )


def table(results: Sequence[Result]) -> str:
    """A row for each sort of fault, in Markdown."""
    lines = [
        "| fault | rounds | commands answered | back after, p50 | at most | violations |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    sorts = Counter(one.sort for one in results)
    for sort, count in sorted(sorts.items(), key=lambda item: (-item[1], item[0])):
        lines.append(_row(sort, count, [one for one in results if one.sort == sort]))
    return "\n".join([*lines, _row("**all**", len(results), results)])


def write(results: Sequence[Result], machine: str) -> None:
    """Put the figures between their markers on the page."""
    if not results:
        return
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    days = sorted({one.at[:10] for one in results})
    minutes = sum(one.seconds for one in results) / 60
    seeds = ", ".join(str(seed) for seed in sorted({one.seed for one in results}))
    had = len(all_points()) - len(missing(results))
    told = (
        f"Measured on {' to '.join(sorted({days[0], days[-1]}))}, seed {seeds},\n"
        f"{machine}: {minutes:.0f} minutes of rounds.\n"
        f"{had} of {len(all_points())} fault points had a fault, and\n"
        f"{sum(one.restarts for one in results)} times a process was started again."
    )
    PAGE.write_text(f"{before}{BEGIN}\n{told}\n\n{table(results)}\n{END}{after}")


def _row(sort: str, count: int, results: Sequence[Result]) -> str:
    times = [one.recovery for one in results if one.recovery is not None]
    back = f"{median(times):.1f} s | {max(times):.1f} s" if times else "- | -"
    wrong = sum(len(one.violations) for one in results)
    return f"| {sort} | {count} | {sum(one.commands for one in results)} | {back} | {wrong} |"
