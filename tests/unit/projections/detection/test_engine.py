"""The engine can do nothing but read what it is allowed to, whatever a rule says."""

import stat
from pathlib import Path

import duckdb
import pytest

from device_ledger.wire.trail import Entry
from projections.detection import engine as engine_module
from projections.detection.cases import load_trail
from projections.detection.engine import open_engine
from projections.detection.evaluate import evaluate
from projections.detection.rules import RuleError, parse_rule
from tests.unit.projections.detection.test_evaluate import BEFORE, END


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM '/etc/passwd'",
        "ATTACH '/tmp/other.db'",
        "COPY (SELECT 1) TO '/tmp/told.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "RESET memory_limit",
        "SET lock_configuration = false",
        "SELECT * FROM read_parquet('https://example.com/a.parquet')",
    ],
)
def test_the_engine_refuses_what_is_no_query_of_its_files(
    engine: duckdb.DuckDBPyConnection, statement: str
) -> None:
    with pytest.raises(duckdb.Error):
        engine.execute(statement)


def test_files_below_an_allowed_directory_are_read_and_those_beside_it_are_not(
    tmp_path: Path,
) -> None:
    allowed, beside = tmp_path / "it's allowed", tmp_path / "beside"
    for folder in (allowed, beside):
        folder.mkdir()
        with duckdb.connect() as writer:
            file = str(folder / "a.parquet").replace("'", "''")
            writer.execute(f"COPY (SELECT 7 AS a) TO '{file}'")
    with open_engine([allowed], memory="64MB", threads=1, spill=tmp_path / "spill") as engine:
        read = "SELECT a FROM read_parquet(?)"
        assert engine.execute(read, [str(allowed / "a.parquet")]).fetchall() == [(7,)]
        with pytest.raises(duckdb.PermissionException):
            engine.execute(read, [str(beside / "a.parquet")])
        with pytest.raises(duckdb.PermissionException):
            engine.execute(read, [str(allowed / ".." / "beside" / "a.parquet")])


def test_what_does_not_fit_into_memory_is_spilled(tmp_path: Path) -> None:
    with open_engine([], memory="64MB", threads=2, spill=tmp_path / "spill") as engine:
        query = "SELECT count(*) FROM (SELECT hash(range) AS a FROM range(6000000) ORDER BY a)"
        assert engine.execute(f"CREATE TABLE sorted AS {query}").fetchall() == [(1,)]
        engine.execute("CREATE TABLE big AS SELECT hash(range) AS a FROM range(12000000)")
        assert engine.execute("SELECT count(DISTINCT a) FROM big").fetchall() == [(12_000_000,)]


def test_a_query_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "SPILL_MAX", "10MB")
    spill = tmp_path / "spill"
    with open_engine([], memory="64MB", threads=2, spill=spill) as engine:
        assert stat.S_IMODE(spill.stat().st_mode) == 0o700
        with pytest.raises(duckdb.OutOfMemoryException, match="max_temp_directory_size"):
            engine.execute("CREATE TABLE big AS SELECT hash(range) AS a FROM range(30000000)")


HOSTILE_NAMES = [
    "type) OR 1=1 --",
    "type\" = 'x') UNION SELECT * FROM read_text('/etc/passwd') --",
    "(SELECT content FROM read_text('/etc/passwd'))",
    "raw",
    "rowid",
    "Type",
]
HOSTILE_VALUES = [
    "' OR '1'='1",
    "'; DROP TABLE trail; --",
    "\\' OR TRUE --",
    "*' ESCAPE '!' OR '%' LIKE '",
    "$$ || (SELECT content FROM read_text('/etc/passwd')) || $$",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_is_no_field_is_refused_wherever_it_stands(name: str) -> None:
    quoted = name.replace("'", "''")
    base = (
        "title: base\nname: base\nlogsource: {product: device-ledger}\n"
        "detection: {it: {type: device.linked.v1}, condition: it}\n"
    )
    head = "---\ntitle: rule\nlevel: low\n"
    correlation = "correlation: {type: value_count, rules: [base], timespan: 1h, "
    alias = f"aliases: {{a: {{base: '{quoted}'}}}}"
    history = "history: {type: waking, timespan: 1h, begins: a, "
    matching = base.replace("title: base\nname: base", "title: rule\nlevel: low")
    for text in (
        matching.replace("{type: device.linked.v1}", f"{{'{quoted}': a}}"),
        matching.replace("{type: device.linked.v1}", f"{{'type|fieldref': '{quoted}'}}"),
        f"{base}{head}{correlation}group-by: ['{quoted}'], condition: {{gte: 2, field: user_id}}}}",
        f"{base}{head}{correlation}group-by: [user_id], condition: {{gte: 2, field: '{quoted}'}}}}",
        f"{base}{head}{correlation}group-by: [a], condition: {{gte: 2, field: user_id}}, {alias}}}",
        f"{matching}{history}group-by: ['{quoted}'], field: type}}",
        f"{matching}{history}group-by: [user_id], field: '{quoted}'}}",
    ):
        with pytest.raises(
            RuleError, match=r"^bad\.yml: (unknown field|Field references must not)"
        ):
            parse_rule(text, "bad")


@pytest.mark.parametrize("value", HOSTILE_VALUES)
@pytest.mark.parametrize("modifier", ["", "|contains", "|cased", "|startswith|cased"])
def test_a_value_is_only_ever_compared(
    engine: duckdb.DuckDBPyConnection, value: str, modifier: str
) -> None:
    quoted = value.replace("'", "''")
    rule = parse_rule(
        "title: rule\nlevel: low\nlogsource: {product: device-ledger}\n"
        f"detection: {{it: {{'customer_id{modifier}': '{quoted}'}}, condition: it}}\n",
        "rule",
    )
    plain = value.replace("*", "any")
    entries = [
        Entry("1", "events", "2026-03-02T00:00:01.000Z", 1, "device.linked.v1", "done"),
        Entry("2", "events", "2026-03-02T00:00:02.000Z", 2, "device.linked.v1", "done")._replace(
            customer_id=plain
        ),
    ]
    load_trail(engine, entries)
    assert [one.completed_by for one in evaluate(engine, rule, BEFORE, END)] == ["2"]


@pytest.mark.parametrize(
    ("detection", "why"),
    [
        ("{it: {'type|re': 'a(?=b)'}, condition: it}", "invalid perl operator"),
        ("{it: {'type|re': '(a{1000}){1000}'}, condition: it}", "invalid repetition size"),
        ('{it: {type: "a\\0b"}, condition: it}', "control character"),
        ("{it: [words], condition: it}", "a value without a field"),
        (
            "{it: {'address_token|cidr': 10.0.0.0/8}, condition: it}",
            "cidrexpression has no meaning",
        ),
        ("{it: {type: true}, condition: it}", "neither true nor false"),
        ("{it: {at: '2026-01-01'}, condition: it}", "can't be compared with text"),
        ("{it: {'type|gt': 3}, condition: it}", "is no number"),
        ("{it: {type: a}, condition: it and}", "Expected"),
        ("{it: {type: a}, condition: that}", "not defined"),
        ("{it: {'type|expand': '%a%'}, condition: it}", "unhandled placeholder"),
    ],
)
def test_what_has_no_meaning_here_is_refused_in_one_line(detection: str, why: str) -> None:
    text = (
        f"title: rule\nlevel: low\nlogsource: {{product: device-ledger}}\ndetection: {detection}\n"
    )
    with pytest.raises(RuleError) as caught:
        parse_rule(text, "bad")
    assert str(caught.value).startswith("bad.yml: ")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
