"""Another's compiler of the same rules, ``pysigma-backend-sqlite``, finds what ours finds.

It differs where docs/decisions/0014 says so: a window holds its first moment there, entries at one
moment are told apart by nothing, groups are compared without case, and each entry at which a
condition is true is an alert. So the histories here have no two entries at one moment or exactly
a window apart, groups are in lower case, and its alerts are thinned to those where it becomes true.
"""

import json
import re
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import duckdb
import pytest
from sigma.backends.sqlite.runtime import execute_plan
from sigma.backends.sqlite.sqlite import sqliteBackend
from sigma.collection import SigmaCollection

from device_ledger.wire.trail import EVENTS_LOG, Entry
from projections.detection.cases import load_trail
from projections.detection.evaluate import evaluate
from projections.detection.rules import parse_rule
from projections.detection.trial import KINDS as KINDS_OF
from tests.unit.projections.detection import kinds
from tests.unit.projections.detection.kinds import LINK, LOGIN, LOOKUP, UNLINK, Kind
from tests.unit.projections.detection.test_evaluate import BEFORE, END, START

SPAN = 15

CONDITIONS = [
    "{it: {customer_id: abc}, condition: it}",
    "{it: {customer_id: ABC}, condition: it}",
    "{it: {'customer_id|cased': Abc}, condition: it}",
    "{it: {'customer_id|contains': b}, condition: it}",
    "{it: {'customer_id|startswith': A}, condition: it}",
    "{it: {'customer_id|endswith|cased': c}, condition: it}",
    "{it: {customer_id: 'a*c'}, condition: it}",
    "{it: {customer_id: 'a?c'}, condition: it}",
    "{it: {customer_id: '50\\% a_b'}, condition: it}",
    "{it: {'customer_id|contains': '%'}, condition: it}",
    "{it: {'customer_id|contains': '_'}, condition: it}",
    "{it: {'customer_id|contains': '\\*'}, condition: it}",
    "{it: {customer_id: ''}, condition: it}",
    "{it: {customer_id: null}, condition: it}",
    "{it: {'customer_id|exists': true}, condition: it}",
    "{it: {'customer_id|exists': false}, condition: it}",
    "{it: {'customer_id|re': '^A.c$'}, condition: it}",
    "{it: {'customer_id|re|i': 'b'}, condition: it}",
    "{it: {customer_id: 7}, condition: it}",
    "{it: {'count|gte': 2}, condition: it}",
    "{it: {'count|lt': 2}, condition: it}",
    "{it: {count: 2}, condition: it}",
    "{it: {customer_id: [abc, axc]}, condition: it}",
    "{it: {'customer_id|contains|all': [a, b]}, condition: it}",
    "{it: {customer_id: abc, outcome: done}, condition: it}",
    "{it: [{customer_id: abc}, {'count|gt': 1}], condition: it}",
    "{it: {outcome: done}, but: {customer_id: abc}, condition: it and not but}",
    "{it: {outcome: done}, but: {country: de}, condition: it and not but}",
    "{a: {customer_id: abc}, b: {count: 2}, condition: 1 of them}",
    "{a: {'customer_id|startswith': a}, b: {'count|gte': 1}, condition: all of them}",
    "{it: {'customer_id|neq': abc}, condition: it}",
    "{it: {'customer_id|fieldref': user_id}, condition: it}",
    "{it: {'at|minute': 1}, condition: it}",
    "{a: {type: x}, b: {count: 1}, condition: not a and not b}",
]
VALUES = ["abc", "Abc", "aXc", "axbc", "50% a_b", "50x aYb", "a*b", "ab", "7", "", None]


def _entries_of_values() -> list[Entry]:
    return [
        Entry(
            str(number),
            EVENTS_LOG,
            f"2026-03-02T00:{number % 4:02}:00.{number:03}Z",
            number,
            LINK,
            "done",
            customer_id=value,
            user_id=[value, "other", None][number % 3],
            count=count,
            country=[None, "de", "fr"][number % 3],
        )
        for number, (value, count) in enumerate(
            ((value, count) for value in VALUES for count in (None, 1, 2, 3)), 1
        )
    ]


def _in_sqlite(entries: Sequence[Entry]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.create_function(
        "REGEXP", 2, lambda pattern, text: text is not None and bool(re.search(pattern, text))
    )
    columns = ", ".join(
        f"`{name}` {'INTEGER' if kind == 'BIGINT' else 'TEXT'}" for name, kind in KINDS_OF.items()
    )
    connection.execute(f"CREATE TABLE logs ({columns})")
    connection.executemany(f"INSERT INTO logs VALUES ({', '.join('?' * 31)})", entries)
    return connection


@pytest.mark.parametrize("detection", CONDITIONS)
def test_a_condition_picks_the_same_entries(
    engine: duckdb.DuckDBPyConnection, detection: str
) -> None:
    text = (
        f"title: rule\nlevel: low\nlogsource: {{product: device-ledger}}\ndetection: {detection}\n"
    )
    entries = _entries_of_values()
    load_trail(engine, entries)
    found = {one.completed_by for one in evaluate(engine, parse_rule(text, "rule"), BEFORE, END)}
    backend = sqliteBackend(collate_nocase=True)  # type: ignore[no-untyped-call]
    [query] = backend.convert(SigmaCollection.from_yaml(text))
    theirs = {row[0] for row in _in_sqlite(entries).execute(query)}
    assert found == theirs


def _history(seed: int) -> list[Entry]:
    """Entries at even seconds, no two at one: none is 15 s from another."""
    random = Random(seed)
    seconds = sorted(random.sample(range(0, 240, 2), random.randint(10, 60)))
    return [
        Entry(
            str(number),
            EVENTS_LOG,
            (START + timedelta(seconds=second)).isoformat(timespec="milliseconds")[:23] + "Z",
            number,
            random.choice([LINK, LINK, UNLINK, LOGIN, LOGIN, LOOKUP]),
            "done",
            device_token=random.choice(["d1", "d2", "d3", None]),
            user_id=random.choice(["u1", "u1", "u2", None]),
        )
        for number, second in enumerate(seconds, 1)
    ]


def _true_in_sqlite(kind: Kind, entries: Sequence[Entry]) -> set[tuple[str, datetime]]:
    backend = sqliteBackend(  # type: ignore[no-untyped-call]
        timestamp_field="at", event_id_field="ref"
    )
    [told] = json.loads(
        backend.convert(SigmaCollection.from_yaml(kind.text), output_format="zircolite")
    )
    rows, _ = execute_plan(  # type: ignore[no-untyped-call]
        _in_sqlite(entries), told["correlation_plan"]
    )
    return {
        (
            "|".join(row["group_keys"].values()),
            datetime.fromtimestamp(round(row["window_end"], 3), UTC),
        )
        for row in rows
    }


def _becoming_true(
    kind: Kind, entries: Sequence[Entry], true: set[tuple[str, datetime]]
) -> list[tuple[str, str]]:
    last: dict[str, tuple[datetime, bool]] = {}
    found = []
    for entry in entries:
        values = [getattr(entry, name) for name in kind.asked.groups]
        if entry.type not in kind.asked.slots or None in values:
            continue
        group, at = "|".join(values), datetime.fromisoformat(entry.at)
        before, held = last.get(group, (BEFORE - kind.asked.span, False))
        holds = (group, at) in true
        if holds and not (held and before > at - kind.asked.span):
            found.append((group, entry.ref))
        last[group] = (at, holds)
    return found


KINDS: list[Any] = [
    *(kinds.event_count(operator, 3, ("user_id",), SPAN) for operator in ("gte", "gt", "eq")),
    kinds.event_count("gte", 2, ("device_token", "user_id"), SPAN),
    kinds.event_count("gte", 5, (), SPAN),
    *(kinds.value_count(operator, 2, ("user_id",), SPAN) for operator in ("gte", "gt", "lt", "eq")),
    kinds.temporal(3, ("user_id",), SPAN),
    kinds.temporal(2, ("device_token",), SPAN),
    kinds.temporal_ordered(("user_id",), SPAN),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_correlation_is_true_at_the_same_entries(
    engine: duckdb.DuckDBPyConnection, kind: Kind, seed: int
) -> None:
    entries = _history(seed)
    load_trail(engine, entries)
    found = [
        ("|".join(one.group[name] for name in kind.asked.groups), one.completed_by)
        for one in evaluate(engine, parse_rule(kind.text, "rule"), BEFORE, END)
    ]
    assert found == _becoming_true(kind, entries, _true_in_sqlite(kind, entries))
