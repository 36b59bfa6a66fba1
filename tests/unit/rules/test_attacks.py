"""The rules of ``rules/`` against a day of labelled attacks hidden in ordinary life."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from device_ledger.simulation.attacks import ATTACKS
from device_ledger.simulation.lookalikes import LOOKALIKES
from projections.detection.evaluate import FoundAlert
from projections.detection.rules import Rule, load_rules
from tests.support.labelled import History, archived, as_they_arise, at_once, simulated

RULES = Path(__file__).parents[3] / "rules"
EVERYDAY = {"first-seen-country": "a journey"}
MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture(scope="module")
def rules() -> list[Rule]:
    """All rules that the project ships."""
    return load_rules([RULES])


@pytest.fixture(scope="module")
def history() -> History:
    """Some thousand entries, a scene of each kind among them."""
    return simulated(3000, 1)


@pytest.fixture(scope="module")
def replayed(
    history: History, rules: list[Rule], tmp_path_factory: pytest.TempPathFactory
) -> list[FoundAlert]:
    """The alerts of one replay of the day."""
    archive = tmp_path_factory.mktemp("whole") / "archive"
    archived(history.lines, archive)
    return at_once(archive, rules, history)


def seen_by(alert: FoundAlert, history: History) -> set[int]:
    """The scenes that an alert's evidence is of, by their place among the labels."""
    evidence = {*alert.evidence, alert.completed_by}
    return {n for n, label in enumerate(history.labels) if not evidence.isdisjoint(label.refs)}


def test_every_rule_has_a_kind_of_attack_and_every_kind_a_rule(rules: list[Rule]) -> None:
    assert sorted(kind.rule for kind in ATTACKS) == [rule.name for rule in rules]
    assert {kind.rule for kind in LOOKALIKES} <= {rule.name for rule in rules}


def test_every_labelled_attack_is_found_by_its_rule(
    history: History, replayed: list[FoundAlert]
) -> None:
    found = {(alert.rule, n) for alert in replayed for n in seen_by(alert, history)}
    missed = [
        label.kind
        for n, label in enumerate(history.labels)
        if label.attack and (label.rule, n) not in found
    ]
    assert missed == []


def test_what_is_found_in_ordinary_life_is_explained(
    history: History, replayed: list[FoundAlert]
) -> None:
    ordinary = [alert for alert in replayed if not seen_by(alert, history)]
    assert {alert.rule for alert in ordinary} <= EVERYDAY.keys()


def test_alerts_as_they_arise_are_those_of_a_replay(
    history: History, rules: list[Rule], replayed: list[FoundAlert], tmp_path: Path
) -> None:
    archived(history.before(history.day), tmp_path / "archive")
    live = as_they_arise(tmp_path / "archive", rules, history, ticks(history, replayed))
    assert by_rule(live) == by_rule(replayed)


def ticks(history: History, alerts: list[FoundAlert]) -> list[datetime]:
    """Ends of ticks: at some alerts and just before, where a cut would hurt, and anywhere."""
    random = Random(5)
    cuts = {history.day + (history.end - history.day) * random.random() for _ in range(6)}
    for alert in random.sample(alerts, 8):
        completed = datetime.fromisoformat(alert.at).astimezone(UTC)
        cuts |= {completed - MILLISECOND, completed}
    whole = {cut.replace(microsecond=cut.microsecond // 1000 * 1000) for cut in cuts}
    return [*sorted(whole), history.end]


def by_rule(alerts: list[FoundAlert]) -> dict[str, list[FoundAlert]]:
    """The alerts of each rule in their order."""
    found = defaultdict(list)
    for alert in alerts:
        found[alert.rule].append(alert)
    return dict(found)
