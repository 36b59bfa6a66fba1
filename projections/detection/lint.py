"""What speaks against a rule that runs: by the Sigma project's validators, and by ours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from sigma.exceptions import SigmaRuleLocation
from sigma.rule import SigmaDetectionItem
from sigma.validation import SigmaValidator
from sigma.validators.core import validators

from projections.detection.cases import cases_of
from projections.detection.rules import Rule, RuleError, load_rules

# These ask MITRE's web site for its lists, and a lint of a deployment has no web.
_ONLINE: Final = frozenset(("attacktag", "d3_fendtag"))


@dataclass(frozen=True, order=True)
class Remark:
    """Something against a rule: its file, and what; ``severity`` is low, medium or high."""

    file: str
    severity: str
    what: str


def lint(paths: Sequence[Path]) -> list[Remark]:
    """All remarks on the rules of these files and directories, in the order of the files.

    Raises:
        RuleError: a file can't be read or used.
    """
    rules = load_rules(paths)
    remarks = {*_of_sigma(rules)}
    for rule in rules:
        remarks |= {Remark(f"{rule.name}.yml", severity, what) for severity, what in _ours(rule)}
    return sorted(remarks)


def _of_sigma(rules: Sequence[Rule]) -> Iterator[Remark]:
    chosen = {kind for name, kind in validators.items() if name not in _ONLINE}
    validator = SigmaValidator(chosen)
    named: dict[int, str] = {}
    for rule in rules:
        for one in rule.collection.rules:
            named[id(one)] = f"{rule.name}.yml"
            # The location tells the validators of file names what the file is called.
            one.source = SigmaRuleLocation(Path(f"{rule.name}.yml"))
    issues = validator.validate_rules(one for rule in rules for one in rule.collection.rules)  # type: ignore[misc]
    for issue in issues:
        for one in issue.rules:
            severity = issue.severity.name.lower()
            yield Remark(named[id(one)], severity, _told(issue, one.title))


def _told(issue: Any, title: str) -> str:
    own = [one.name for one in fields(issue) if one.name not in {"rules", "severity"}]
    about = ", ".join(f"{name} {_plain(getattr(issue, name))}" for name in own)
    return f"{title}: {issue.description}" + (f" ({about})" if about else "")


def _plain(value: Any) -> str:
    return str(value.field) if isinstance(value, SigmaDetectionItem) else str(value)


def _ours(rule: Rule) -> Iterator[tuple[str, str]]:
    root = next(iter(rule.collection.get_unreferenced_rules()))
    if not rule.description:
        yield "medium", "has no description: say what it finds and why its numbers are these"
    if not rule.references:
        yield "low", "has no references"
    if not root.falsepositives:
        yield "low", "has no falsepositives"
    try:
        cases = cases_of(rule)
    except RuleError as error:
        yield "high", str(error).removeprefix(f"{rule.name}.yml: ")
        return
    if not any(case.alerts for case in cases):
        yield "high", "has no test in which it must alert"
    if all(case.alerts for case in cases):
        yield "high", "has no test in which it must not alert"
