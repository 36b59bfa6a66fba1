"""The tests that stand beside a rule: small histories, and the alerts that they must give.

    tests:
      - name: the fifth customer within a week
        entries:
          - {at: 0s, repeat: 5, every: 1d, type: device.linked.v1, device_token: d, user_id: "u{n}"}
        alerts:
          - {at: 4d, group: {device_token: d}, evidence: 5}

Times count from some moment: ``1d2h3m4s5ms``. ``repeat`` tells an entry so many times, ``every``
so long after the one before, ``{n}`` being its number from 0. ``evidence`` may be left out.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb

from device_ledger.wire.access import ACCESS_TYPES
from device_ledger.wire.events import COMMAND_REFUSED, EVENT_TYPES
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG, Entry
from projections.detection.engine import open_engine
from projections.detection.evaluate import FoundAlert, evaluate
from projections.detection.rules import Rule, RuleError
from projections.detection.trial import KINDS, columns

_START: Final = datetime(2026, 3, 2, tzinfo=UTC)
_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_SPAN: Final = re.compile(r"(\d+)(ms|[dhms])")
_ENTRIES_MAX: Final = 20_000

_CASE_WORDS: Final = frozenset(("name", "entries", "alerts"))
_ENTRY_WORDS: Final = frozenset(Entry._fields) | {"repeat", "every"}
_ALERT_WORDS: Final = frozenset(("at", "group", "evidence"))


@dataclass(frozen=True)
class Case:
    """One test: its entries, and of each alert the time, the group and how much evidence."""

    name: str
    entries: tuple[Entry, ...]
    alerts: tuple["Expected", ...]


@dataclass(frozen=True)
class Expected:
    """An alert that a test wants; ``evidence`` is ``None`` where it doesn't say."""

    at: str
    group: tuple[tuple[str, str], ...]
    evidence: int | None = None

    def __str__(self) -> str:
        since = datetime.fromisoformat(self.at) - _START
        who = ", ".join(f"{name} {value}" for name, value in self.group) or "the entry"
        return f"{who} after {since}" + (f" with {self.evidence}" if self.evidence else "")


@dataclass(frozen=True)
class Outcome:
    """How a test went: what was wanted and didn't come, and what came unwanted."""

    case: Case
    missing: tuple[Expected, ...]
    unwanted: tuple[Expected, ...]

    @property
    def passed(self) -> bool:
        """Whether all came as wanted."""
        return not self.missing and not self.unwanted


def cases_of(rule: Rule) -> list[Case]:
    """The rule's tests.

    Raises:
        RuleError: the block isn't written as it should be.
    """
    cases = []
    for number, block in enumerate(rule.tests, 1):
        try:
            cases.append(_case(block))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            why = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise RuleError(f"{rule.name}.yml: test {number}: {why}") from None
    return cases


def run_cases(rule: Rule) -> Iterator[Outcome]:
    """Run the rule's tests on the engine, one after the other.

    Raises:
        RuleError: the block isn't written as it should be.
    """
    cases = cases_of(rule)
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine([], memory="256MB", threads=1, spill=Path(folder))
        with engine:
            for case in cases:
                load_trail(engine, case.entries)
                yield _outcome(case, _alerts(engine, rule, case))


def load_trail(connection: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
    """Make these entries the relation ``trail`` of a connection."""
    connection.execute(f"CREATE OR REPLACE TABLE trail ({columns()})")
    if entries:
        told = [entry._replace(at=entry.at.removesuffix("Z")) for entry in entries]
        lists = [list(values) for values in zip(*told, strict=True)]
        marks = ", ".join(f"unnest(CAST(? AS {kind}[]))" for kind in KINDS.values())
        connection.execute(f"INSERT INTO trail SELECT {marks}", lists)


def _alerts(engine: duckdb.DuckDBPyConnection, rule: Rule, case: Case) -> list[FoundAlert]:
    times = [datetime.fromisoformat(entry.at) for entry in case.entries]
    if not times:
        return []
    return evaluate(engine, rule, min(times) - timedelta(seconds=1), max(times))


def _outcome(case: Case, found: Sequence[FoundAlert]) -> Outcome:
    missing, unwanted = list(case.alerts), []
    for alert in found:
        group = tuple(sorted(alert.group.items()))
        came = Expected(alert.at, group, alert.evidence_count)
        match = next((one for one in missing if one in (came, Expected(alert.at, group))), None)
        if match is None:
            unwanted.append(came)
        else:
            missing.remove(match)
    return Outcome(case, tuple(missing), tuple(unwanted))


def _case(block: Mapping[str, Any]) -> Case:
    _check_words(block, _CASE_WORDS)
    entries = tuple(_entries(block["entries"]))
    if len(entries) > _ENTRIES_MAX:
        raise ValueError(f"more than {_ENTRIES_MAX} entries")
    alerts = tuple(_expected(one) for one in block["alerts"])
    return Case(str(block["name"]), entries, alerts)


def _entries(blocks: Sequence[Mapping[str, Any]]) -> Iterator[Entry]:
    told = 0
    for block in blocks:
        _check_words(block, _ENTRY_WORDS)
        repeat = int(block.get("repeat", 1))
        if repeat > _ENTRIES_MAX:
            raise ValueError(f"repeat is more than {_ENTRIES_MAX}")
        every = _span(block.get("every", "0s"))
        for number in range(repeat):
            told += 1
            yield _entry(block, number, told, _span(block["at"]) + number * every)


def _entry(block: Mapping[str, Any], number: int, told: int, at: timedelta) -> Entry:
    fields: dict[str, Any] = {
        name: value.replace("{n}", str(number)) if isinstance(value, str) else value
        for name, value in block.items()
        if name not in {"at", "repeat", "every"}
    }
    kind = fields["type"]
    if kind not in {*EVENT_TYPES, *ACCESS_TYPES}:
        raise ValueError(f"no record has the type {kind}")
    event = kind in EVENT_TYPES
    fields = {
        "ref": str(told) if event else f"access-{told:06}",
        "log": EVENTS_LOG if event else ACCESS_LOG,
        "seq": told if event else 0,
        "outcome": "refused" if kind == COMMAND_REFUSED else "done",
        **fields,
    }
    return Entry(at=_time(at), **fields)


def _expected(block: Mapping[str, Any]) -> Expected:
    _check_words(block, _ALERT_WORDS)
    group = tuple(sorted((str(name), str(value)) for name, value in block["group"].items()))
    return Expected(_time(_span(block["at"])), group, block.get("evidence"))


def _check_words(block: Mapping[str, Any], words: frozenset[str]) -> None:
    unknown = block.keys() - words
    if unknown:
        raise ValueError(f"unknown word {min(unknown)!r}")


def _span(text: str) -> timedelta:
    if not re.fullmatch(r"((\d+)(ms|[dhms]))+", text):
        raise ValueError(f"no time such as 1d2h3m4s5ms: {text!r}")
    parts = _SPAN.findall(text)
    return timedelta(milliseconds=sum(int(count) * _UNITS[unit] for count, unit in parts))


def _time(since: timedelta) -> str:
    return (_START + since).isoformat(timespec="milliseconds").replace("+00:00", "Z")
