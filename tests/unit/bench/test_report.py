"""What was measured: kept case by case, judged by its goal, told as a table."""

import json
import shutil
from pathlib import Path

import pytest

from bench import report, table
from bench.__main__ import CASES
from bench.report import Rounds, Row, record

PAGE = "before\n<!-- results: made -->\nold\n<!-- end -->\nafter\n"


@pytest.fixture(autouse=True)
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results and page of the test's own; the page."""
    page = tmp_path / "benchmarks.md"
    page.write_text(PAGE)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(table, "PAGE", page)
    return page


def row(name: str, *ours: float) -> Row:
    """A row without a reference."""
    return Row(name, "requests/s", "higher", None, Rounds(list(ours)))


def written() -> list[str]:
    """The names of the rows that are kept."""
    return [one["name"] for one in report.results()["rows"]]


def test_the_results_hold_every_round() -> None:
    one = Row("lookup", "requests/s", "higher", 0.8, Rounds([3.0, 1.0], [2.0]))
    record("reads", [one], full=True)
    kept = json.loads(report.RESULTS.read_text())
    assert sorted(kept) == ["cases", "date", "machine", "rows", "versions"]
    assert kept["rows"] == [
        {
            "name": "lookup",
            "unit": "requests/s",
            "goal": 0.8,
            "better": "higher",
            "rounds": {"ours": [3.0, 1.0], "reference": [2.0]},
        }
    ]
    assert Row.of_json(kept["rows"][0]) == one


def test_a_case_that_is_measured_again_replaces_its_rows_and_no_others() -> None:
    record("reads", [row("lookup", 1.0), row("list", 1.0)], full=True)
    record("commands", [row("link", 1.0)], full=False)
    record("reads", [row("lookup", 2.0)], full=False)
    assert written() == ["link", "lookup"]
    assert report.results()["cases"]["reads"]["full"] is False


def test_two_rows_of_one_name_are_refused_and_nothing_is_written() -> None:
    record("reads", [row("lookup", 1.0)], full=False)
    with pytest.raises(ValueError, match="lookup"):
        record("nodes", [row("lookup", 1.0)], full=False)
    with pytest.raises(ValueError, match="link"):
        record("nodes", [row("link", 1.0), row("link", 2.0)], full=False)
    assert written() == ["lookup"]


@pytest.mark.parametrize(
    ("better", "goal", "rounds", "met"),
    [
        ("higher", 2.0, Rounds([4.0], [2.0]), True),
        ("higher", 2.1, Rounds([4.0], [2.0]), False),
        ("lower", 0.5, Rounds([1.0, 1.0, 9.0], [2.0]), True),
        ("lower", 50.0, Rounds([51.0]), False),
        ("lower", 50.0, Rounds([50.0]), True),
        ("lower", None, Rounds([50.0]), None),
    ],
)
def test_a_goal_is_for_the_ratio_where_there_is_a_reference_else_for_the_median(
    better: report.Better, goal: float | None, rounds: Rounds, met: bool | None
) -> None:
    assert Row("any", "ms", better, goal, rounds).met is met


def test_the_table_stands_between_its_marks_with_machine_versions_and_date(own_files: Path) -> None:
    report.note_version("kratos", "v1.3.1")
    goal = Row("lookup", "requests/s", "higher", 2.0, Rounds([1.0, 3.0, 8.0], [2.0, 2.0, 2.0]))
    record("reads", [goal, row("link", 2_000.0)], full=True)
    table.write_results()
    page = own_files.read_text()
    told = report.results()["cases"]["reads"]
    assert page.startswith("before\n<!-- results: made -->\n### `reads`\n")
    assert page.endswith("<!-- end -->\nafter\n")
    assert "old" not in page
    assert told["date"][:10] in page
    assert told["machine"]["processor"] in page
    assert "kratos v1.3.1" in page
    assert "\n| lookup | requests/s | 3 (1 to 8) | 2 (2 to 2) | 1.5 | ≥ 2 | **no** |\n" in page
    assert "\n| link | requests/s | 2,000 (2,000 to 2,000) |  |  |  |  |\n" in page


def test_the_plot_of_a_case_stands_below_its_table(own_files: Path) -> None:
    own_files.with_name("reads.svg").write_text("<svg/>")
    record("reads", [row("lookup", 1.0)], full=True)
    record("commands", [row("link", 1.0)], full=True)
    table.write_results()
    assert own_files.read_text().count("|\n\n![reads](reads.svg)\n\n### `commands`\n") == 1


def test_the_results_that_are_kept_are_those_in_the_docs(
    monkeypatch: pytest.MonkeyPatch, own_files: Path
) -> None:
    docs = Path(__file__).parents[3]
    real = (docs / "docs" / "benchmarks.md").read_text()
    own_files.write_text(real)
    for plot in (docs / "docs").glob("*.svg"):
        shutil.copy(plot, own_files.parent)
    monkeypatch.setattr(report, "RESULTS", docs / "bench" / "results.json")
    table.write_results()
    assert own_files.read_text() == real
    assert set(report.results()["cases"]) <= set(CASES)
