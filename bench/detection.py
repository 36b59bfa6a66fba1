"""The rules on a labelled day of a million entries, and on ten such days: what they find, and
how fast."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from bench import table
from bench.histories import COPIES, DAY, labelled_day, many_days
from bench.report import Begin, Row, Step, keep
from projections.archive.reader import text
from projections.detection.counting import EventCount, ValueCount
from projections.detection.plan import Windowed
from projections.detection.rules import load_rules

RULES: Final = Path(__file__).parents[1] / "rules"
ROUNDS: Final = 5
GOAL_ENTRIES_A_SECOND: Final = 3e6
GOAL_PEAK_MIB: Final = 1000.0
GOAL_TICK_SECONDS: Final = 2.0
"""Of the 5 s to an alert, what reading months of history may take."""
_HEADINGS: Final = "| rule | attacks | found | recall | alerts | precision | false alarms |"


@dataclass(frozen=True)
class Verdict:
    """What a rule found on the labelled day. ``found`` of its ``attacks``; of its ``alerts``
    ``true`` are of an attack (of its own kind or another), the others ``false`` by kind of scene.
    """

    rule: str
    attacks: int
    found: int
    alerts: int
    true: int
    false: dict[str, int]

    @property
    def recall(self) -> float:
        """The share of its attacks that it found."""
        return self.found / self.attacks

    @property
    def precision(self) -> float:
        """The share of its alerts that are of attacks."""
        return self.true / self.alerts if self.alerts else 1.0


def rules() -> list[Path]:
    """The rule files, in the order of their names."""
    return sorted(RULES.glob("*.yml"), key=lambda file: file.stem)


def measure(begin: Begin, step: Step, full: bool) -> list[Row]:
    """Speed, in a full run also over ten days with the most memory; what was found is written."""
    begin("a labelled day of 1,000,000 entries")
    day = labelled_day()
    step()
    verdicts: list[Verdict] = []
    rows = _ticks(day.archive)
    for file in rules():
        begin(f"rule {file.stem}")
        told = _replayed(day.archive, 1, ROUNDS, file)
        verdicts.append(judge(file.stem, told["rules"][0]["alerts"], day.labels))
        rows += _timed(told)
        step()
        if full:
            archive = many_days(day)
            rows += _long([_replayed(archive, COPIES, 1, file) for _ in range(ROUNDS)])
            step()
    write_verdicts(verdicts)
    return rows


def write_verdicts(verdicts: list[Verdict]) -> None:
    """Keep what the rules found beside the rows, and write it into the docs."""
    told = [asdict(one) | {"recall": one.recall, "precision": one.precision} for one in verdicts]
    keep("detection", {"rules": told})
    table.write(
        "detection", "\n".join([_HEADINGS, "|---|---|---|---|---|---|---|", *map(_line, verdicts)])
    )


def _line(one: Verdict) -> str:
    false = ", ".join(f"{kind} {count}" for kind, count in sorted(one.false.items()))
    counts = f"{one.attacks} | {one.found} | {one.recall:.2f} | {one.alerts}"
    return f"| {one.rule} | {counts} | {one.precision:.2f} | {false} |"


def judge(rule: str, alerts: list[list[str]], labels: list[dict[str, Any]]) -> Verdict:
    """Compare a rule's alerts, each the references of its evidence, with the labels."""
    of_ref = {ref: number for number, label in enumerate(labels) for ref in label["refs"]}
    found: set[int] = set()
    false: Counter[str] = Counter()
    for refs in alerts:
        scenes = {of_ref[ref] for ref in refs if ref in of_ref}
        attacks = {number for number in scenes if labels[number]["attack"]}
        found |= attacks
        if not attacks:
            kinds = sorted({labels[number]["kind"] for number in scenes})
            false[" and ".join(kinds) or "ordinary life"] += 1
    own = {n for n, label in enumerate(labels) if label["attack"] and label["rule"] == rule}
    true = len(alerts) - false.total()
    return Verdict(rule, len(own), len(own & found), len(alerts), true, dict(false))


def _replayed(archive: Path, days: int, rounds: int, rule: Path) -> dict[str, Any]:
    ends = (text(DAY), text(DAY + timedelta(days=days)))
    command = [sys.executable, "-m", "bench.replaying", str(archive), *ends, str(rounds), str(rule)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _timed(told: dict[str, Any]) -> list[Row]:
    [one] = told["rules"]
    name, entries = one["rule"], one["entries"]
    rate = Row(f"replay of {name}", "entries/s", "higher", goal=_goal(name))
    rate.rounds.ours += [entries / seconds for seconds in one["seconds"]]
    cpu = Row(f"replay of {name}: CPU each", "ns", "lower")
    cpu.rounds.ours += [seconds / entries * 1e9 for seconds in one["cpu"]]
    return [rate, cpu]


def _long(told: list[dict[str, Any]]) -> list[Row]:
    """The same over ten days, each round in a process of its own: what grows with the history?"""
    rounds = [one for each in told for one in each["rules"]]
    name, entries = f"{rounds[0]['rule']}, {COPIES} days", rounds[0]["entries"]
    rate = Row(name, "entries/s", "higher", goal=_goal(rounds[0]["rule"]))
    rate.rounds.ours += [entries / seconds for one in rounds for seconds in one["seconds"]]
    cpu = Row(f"{name}: CPU each", "ns", "lower")
    cpu.rounds.ours += [seconds / entries * 1e9 for one in rounds for seconds in one["cpu"]]
    memory = Row(f"{name}: peak memory", "MiB", "lower", goal=GOAL_PEAK_MIB)
    memory.rounds.ours += [each["peak_mib"] for each in told]
    return [rate, cpu, memory]


def _ticks(archive: Path) -> list[Row]:
    """A detector's round with all rules, beside the four months and the day."""
    command = [sys.executable, "-m", "bench.ticking", str(archive), str(ROUNDS), str(RULES)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    ticks = json.loads(done.stdout)["ticks"]
    wall = Row("a detector's round, all rules", "s", "lower", goal=GOAL_TICK_SECONDS)
    wall.rounds.ours += [tick["seconds"] for tick in ticks]
    cpu = Row("a detector's round, all rules: CPU", "s", "lower")
    cpu.rounds.ours += [tick["cpu"] for tick in ticks]
    return [wall, cpu]


def _goal(name: str) -> float | None:
    """Speed is promised for rules that count."""
    [rule] = load_rules([RULES / f"{name}.yml"])
    plan = rule.plan
    counts = isinstance(plan, Windowed) and isinstance(plan.test, EventCount | ValueCount)
    return GOAL_ENTRIES_A_SECOND if counts else None
