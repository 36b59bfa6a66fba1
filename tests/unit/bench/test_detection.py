"""Judging a rule by labels, and telling of it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench import report, table
from bench.detection import Verdict, judge, rules, write_verdicts
from device_ledger.simulation.attacks import ATTACKS
from device_ledger.simulation.lookalikes import LOOKALIKES


def label(kind: str, rule: str, *refs: str, attack: bool = True) -> dict[str, Any]:
    """A line of a labels file, as far as a verdict looks at it."""
    return {"kind": kind, "rule": rule, "attack": attack, "refs": list(refs)}


LABELS = [
    label("burst", "device-burst", "1", "2"),
    label("burst", "device-burst", "3", "4"),
    label("farm", "device-farm", "5", "6"),
    label("roll-out", "device-burst", "7", "8", attack=False),
]


def test_a_verdict_tells_attacks_found_and_false_alarms_by_their_kind() -> None:
    alerts = [["2", "1"], ["6"], ["8", "7"], ["8"], ["99"]]
    assert judge("device-burst", alerts, LABELS) == Verdict(
        "device-burst", 2, 1, 5, 2, {"roll-out": 2, "ordinary life": 1}
    )


def test_an_attack_that_another_rule_sees_is_no_false_alarm_and_not_found() -> None:
    verdict = judge("device-burst", [["5"]], LABELS)
    assert (verdict.recall, verdict.precision) == (0.0, 1.0)


def test_each_rule_is_measured() -> None:
    assert [file.stem for file in rules()] == sorted(kind.rule for kind in ATTACKS)


def test_what_was_found_is_written_beside_the_rows_and_into_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("before\n<!-- detection: made -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(table, "PAGE", page)
    row = report.Row("lookup", "requests/s", "higher", None, report.Rounds([1.0]))
    verdict = Verdict("device-burst", 2, 2, 4, 3, {"roll-out": 1})
    write_verdicts([verdict])
    report.record("reads", [row], full=False)
    written = report.results()
    assert written["detection"]["rules"] == [asdict(verdict) | {"recall": 1.0, "precision": 0.75}]
    assert [one["name"] for one in written["rows"]] == ["lookup"]
    assert "\n| device-burst | 2 | 2 | 1.00 | 4 | 0.75 | roll-out 1 |\n<!-- end -->\nafter" in (
        page.read_text()
    )


def test_every_kind_of_false_alarm_is_explained() -> None:
    page = (Path(__file__).parents[3] / "docs" / "benchmarks.md").read_text()
    assert [kind.name for kind in LOOKALIKES if f"\n| {kind.name} | " not in page] == []
