"""The rules that we ship: they pass the tests beside them, and nothing speaks against them."""

from pathlib import Path

import pytest

from projections.detection.cases import cases_of, run_cases
from projections.detection.lint import lint
from projections.detection.rules import Rule, RuleError, load_rules, parse_rule

RULES = Path(__file__).parents[4] / "rules"


def _rules() -> list[Rule]:
    return load_rules([RULES])


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule.name)
def test_a_rule_passes_the_tests_beside_it(rule: Rule) -> None:
    assert [(one.case.name, one.missing, one.unwanted) for one in run_cases(rule)] == [
        (case.name, (), ()) for case in cases_of(rule)
    ]


def test_nothing_speaks_against_the_rules() -> None:
    assert lint([RULES]) == []


def test_each_rule_has_a_history_at_its_boundary_in_which_it_must_not_alert() -> None:
    few = {
        rule.name: len(cases_of(rule))
        for rule in _rules()
        if sum(not case.alerts for case in cases_of(rule)) < 2
    }
    assert few == {}


_RULE = """title: A login
level: low
logsource: {product: device-ledger}
detection: {it: {type: device.login_seen.v1}, condition: it}
tests:
  - name: a login
    entries:
      - {at: 1m30s, type: device.login_seen.v1, repeat: 2, every: 500ms, user_id: "u{n}"}
    alerts:
"""


@pytest.mark.parametrize(
    ("alerts", "missing", "unwanted"),
    [
        ("[{at: 1m30s, group: {}}, {at: 1m30s500ms, group: {}, evidence: 1}]", 0, 0),
        ("[{at: 1m30s, group: {}}, {at: 1m30s500ms, group: {}, evidence: 2}]", 1, 1),
        ("[{at: 1m30s, group: {}}, {at: 1m31s, group: {}}]", 1, 1),
        ("[{at: 1m30s, group: {user_id: u0}}, {at: 1m30s500ms, group: {}}]", 1, 1),
        ("[{at: 1m30s, group: {}}]", 0, 1),
        ("[]", 0, 2),
    ],
)
def test_a_test_fails_where_an_alert_is_missing_or_not_wanted(
    alerts: str, missing: int, unwanted: int
) -> None:
    [outcome] = run_cases(parse_rule(f"{_RULE}      {alerts}", "login"))
    assert (len(outcome.missing), len(outcome.unwanted)) == (missing, unwanted)
    assert outcome.passed == (missing == unwanted == 0)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("{name: a, entries: [], alerts: [], more: 1}", "unknown word 'more'"),
        ("{name: a, entries: [{at: 1m}], alerts: []}", "lacks 'type'"),
        ("{name: a, entries: [{at: soon, type: device.linked.v1}], alerts: []}", "no time"),
        ("{name: a, entries: [{at: 1m, type: device.lost.v1}], alerts: []}", "no record"),
        ("{name: a, entries: [{at: 1m, type: device.linked.v1, user: u}], alerts: []}", "unknown"),
        ("{name: a, entries: []}", "lacks 'alerts'"),
        ("words", "test 1"),
    ],
)
def test_a_tests_block_that_is_not_as_it_should_be_is_told(block: str, why: str) -> None:
    head = _RULE.partition("tests:")[0]
    with pytest.raises(RuleError) as caught:
        cases_of(parse_rule(f"{head}tests: [{block}]", "login"))
    assert str(caught.value).startswith("login.yml: test 1: ")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("a.yml", "a: [", "a.yml: no YAML: "),
        ("a.yml", "", "a.yml: holds no rule"),
        ("a.yml", "- 1", "a.yml: each document is a rule"),
        ("a.yml", "title: a\nx: &x [1]\ny: *x\n", "a.yml: YAML aliases are not taken"),
        ("a.yml", "title: a\ntitle: b\n", "a.yml: Duplicate key 'title'"),
        ("a.yml", _RULE.replace("level: low\n", ""), "a.yml: has no level"),
        ("a.yml", _RULE.replace("level: low", "level: urgent"), "a.yml: 'urgent' is not a valid"),
        ("a.yml", _RULE.replace("device-ledger}", "windows}"), "a.yml: 'A login' needs the log"),
        ("a.yml", _RULE + "      []\nhistroy: {}\n", "a.yml: unknown attribute 'histroy'"),
        (
            "a.yml",
            f"{_RULE}      []\n---\n{_RULE}      []\n",
            "a.yml: 2 rules that no other refers to",
        ),
        ("a.yml", "#" * 70_000, "a.yml: longer than 65536 characters"),
    ],
)
def test_a_file_that_is_no_rule_is_told_in_one_line(
    tmp_path: Path, file: str, text: str, told: str
) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(RuleError) as caught:
        load_rules([tmp_path])
    assert str(caught.value).startswith(f"{tmp_path}/{told}")
    assert "\n" not in str(caught.value)


def test_a_file_that_can_not_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    missing, latin = tmp_path / "missing.yml", tmp_path / "latin.yml"
    latin.write_bytes("title: Gerät".encode("latin-1"))
    for file, why in ((missing, "No such file or directory"), (latin, "it is not UTF-8")):
        with pytest.raises(RuleError) as caught:
            load_rules([file])
        assert str(caught.value) == f"{file}: can't be read: {why}"


_CORRELATION = """title: base
name: base
logsource: {product: device-ledger}
detection: {it: {type: device.login_seen.v1}, condition: it}
---
title: rule
level: low
correlation:
  rules: [base]
  group-by: [user_id]
"""


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("type: value_sum\n  timespan: 1h\n  condition: {gte: 3, field: count}", "value_sum"),
        ("type: event_count\n  timespan: 50d\n  condition: {gte: 3}", "looks 100 days back"),
        ("type: event_count\n  timespan: 9999999y\n  condition: {gte: 3}", "too large"),
        ("type: event_count\n  timespan: 1h\n  condition: {gte: x}", "no valid"),
        ("type: event_count\n  condition: {gte: 2}", "without timespan"),
        ("type: event_count\n  timespan: 1h\n  generate: true\n  condition: {gte: 2}", "generate"),
        ("type: temporal_ordered\n  timespan: 1h\n  condition: {gte: 2}", "wants all of its rules"),
        ("type: temporal_ordered\n  timespan: 1h\n  condition: base", "for temporal alone"),
        ("type: event_count\n  rules: [other]\n  timespan: 1h\n  condition: {gte: 2}", "Duplicate"),
    ],
)
def test_a_correlation_that_is_not_taken_says_why(words: str, why: str) -> None:
    with pytest.raises(RuleError, match=why):
        parse_rule(f"{_CORRELATION}  {words}\n", "rule")
