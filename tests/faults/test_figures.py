"""The figures tell what rounds came to, and which points are missing."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.faults import figures
from tests.faults.points import all_points
from tests.faults.rounds import Result

POINT = all_points()[0].name
GOOD = Result(
    1, 1, "sqlite", "kill", "kill api", [POINT], 30, 2.0, 1.0, 9.0, 1, [], "2026-01-05T10:00Z"
)
BAD = Result(
    1, 2, "sqlite", "pause", "pause api", [], 10, None, None, 1.0, 0, ["lost"], "2026-01-06T1"
)


def test_a_row_tells_what_a_sort_of_fault_came_to() -> None:
    rows = figures.table([GOOD, BAD, GOOD]).splitlines()
    assert rows[2:] == [
        "| kill | 2 | 60 | 2.0 s | 2.0 s | 0 |",
        "| pause | 1 | 10 | - | - | 1 |",
        "| **all** | 3 | 70 | 2.0 s | 2.0 s | 1 |",
    ]


def test_a_point_without_a_fault_is_missing() -> None:
    missing = figures.missing([GOOD])
    assert POINT not in missing
    assert len(missing) == len(all_points()) - 1


def test_of_a_round_that_was_played_again_the_last_result_counts(tmp_path: Path) -> None:
    file = tmp_path / "results.ndjson"
    again = Result(1, 2, "sqlite", "pause", "pause api", [], 20)
    file.write_text("".join(f"{json.dumps(asdict(one))}\n" for one in (BAD, GOOD, again)))
    assert figures.read(file) == [again, GOOD]
    assert figures.read(tmp_path / "none") == []


def test_the_figures_are_put_between_their_markers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{figures.BEGIN}\nold\n{figures.END}\nafter\n")
    monkeypatch.setattr(figures, "PAGE", page)
    figures.write([GOOD, BAD], "2 cores")
    text = page.read_text()
    assert text.startswith(f"before\n{figures.BEGIN}\nMeasured on 2026-01-05 to 2026-01-06, seed 1")
    assert text.endswith(f"| 1 |\n{figures.END}\nafter\n")
    assert "old" not in text
