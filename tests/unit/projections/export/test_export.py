"""What is exported: which lines, in which order, and how each format tells them."""

import csv
import io
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest

from device_ledger.wire.trail import Entry
from projections.archive.layout import archive_of
from projections.export.run import evidence_of, export
from projections.export.selection import Selection
from projections.export.source import SCHEMA, ExportError, Source, open_source
from projections.export.writers import entries_of, harmless
from tests.samples import events
from tests.unit.projections.export.conftest import ACCESSES, ORDER
from tests.unit.projections.export.test_findings import ALERT

ALL = Selection()


def silent(_done: int, _total: int) -> None:
    """Tell nobody."""


def written(source: Source, form: str, selection: Selection = ALL) -> bytes:
    out = io.BytesIO()
    export(source, selection, (form, out), silent)
    return out.getvalue()


def refs(source: Source, selection: Selection) -> list[str]:
    return [orjson.loads(line)["ref"] for line in written(source, "ndjson", selection).splitlines()]


def test_events_and_accesses_are_exported_in_the_order_of_the_trail(source: Source) -> None:
    assert refs(source, ALL) == ORDER


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(since=events.at(3)), ORDER[3:]),
        (Selection(until=events.at(3)), ORDER[:3]),
        (Selection(since=events.at(2), until=events.at(4)), ORDER[1:4]),
        (Selection(bank_id="bank-b"), ["3"]),
        (Selection(customer="other"), ["3"]),
        (Selection(customer=events.USER.upper()), ["1", "2", "4", "7200"]),
        (Selection(outcome="not-found"), [ACCESSES[1].id]),
        (Selection(types=("device.linked.v1", "device.deactivated.v1")), ["2", "3", "7200"]),
        (Selection(device_token="another"), []),
        (Selection(device_token=events.DEVICE, types=("device.registered.v1",)), ["1"]),
        (Selection(refs=("4", ACCESSES[0].id, "999")), [ACCESSES[0].id, "4"]),
        (Selection(refs=()), []),
    ],
)
def test_only_what_agrees_with_all_that_is_asked_is_exported(
    source: Source, selection: Selection, expected: list[str]
) -> None:
    assert refs(source, selection) == expected


def test_one_bank_s_export_has_no_line_of_another(home: Path) -> None:
    with open_source(archive_of(home), spill=home / "spill", bank_id="bank-b") as source:
        assert refs(source, ALL) == ["3"]


def test_progress_tells_lines_done_and_lines_in_all(source: Source) -> None:
    told: list[tuple[int, int]] = []
    export(source, ALL, ("ndjson", io.BytesIO()), lambda done, total: told.append((done, total)))
    assert told[0] == (0, 7)
    assert told[-1] == (7, 7)
    assert sorted(told) == told


def test_ndjson_has_the_fields_that_say_something(source: Source) -> None:
    line = written(source, "ndjson").splitlines()[1]
    assert orjson.loads(line) == {
        "ref": ACCESSES[0].id,
        "log": "access",
        "at": events.at(2),
        "seq": 0,
        "type": "device.looked_up.v1",
        "outcome": "found",
        "device_token": events.DEVICE,
        "merchant_id": "shop-1",
        "request_id": "request-2",
    }


def test_csv_has_a_head_and_no_cell_that_a_spreadsheet_runs(source: Source) -> None:
    head, *rows = csv.reader(io.StringIO(written(source, "csv").decode(), newline=""))
    assert tuple(head) == Entry._fields
    login = dict(zip(head, rows[4], strict=True))
    assert {name: login[name] for name in ("ref", "at", "cell", "name_token", "code")} == {
        "ref": "4",
        "at": events.at(4),
        "cell": "'+52.25+013.25",
        "name_token": "'-1+1",
        "code": "",
    }
    assert [cell for row in rows for cell in row if cell[:1] in tuple("=+-@\t\r\n")] == []


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "'", "'=1"])
def test_a_cell_that_begins_like_a_formula_gets_an_apostrophe_that_can_be_taken_away(
    text: str,
) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("value", ["a=1", "", "D3v", None, 7])
def test_any_other_cell_stays_as_it_is(value: object) -> None:
    assert harmless(value) == value


def test_parquet_has_the_columns_of_the_trail(source: Source) -> None:
    table = pq.read_table(io.BytesIO(written(source, "parquet")))
    assert table.schema.equals(SCHEMA)
    exported = [entry for batch in table.to_batches() for entry in entries_of(batch)]
    assert [entry.ref for entry in exported] == ORDER
    assert exported[3].bank_id == "bank-b"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_without_lines_has_its_columns(source: Source, form: str) -> None:
    content = written(source, form, Selection(refs=()))
    if form == "csv":
        assert content.decode() == ",".join(Entry._fields) + "\r\n"
    else:
        assert pq.read_table(io.BytesIO(content)).num_rows == 0


def test_ocsf_is_an_event_a_line(source: Source) -> None:
    lines = [orjson.loads(line) for line in written(source, "ocsf").splitlines()]
    assert [line["metadata"]["original_event_uid"] for line in lines] == ORDER
    assert {line["class_uid"] for line in lines} == {3002, 3004, 6003}


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet", "ocsf"])
def test_nothing_that_is_sealed_is_exported(source: Source, form: str) -> None:
    assert b"sealed" not in written(source, form)


@pytest.mark.parametrize("form", ["ndjson", "ocsf"])
def test_a_case_is_its_alert_and_then_its_evidence(source: Source, form: str) -> None:
    case = ALERT._replace(evidence=orjson.dumps(["2", ACCESSES[0].id, "4"]).decode())
    out = io.BytesIO()
    assert export(source, evidence_of(case), (form, out), silent, case) == 3
    head, *lines = [orjson.loads(line) for line in out.getvalue().splitlines()]
    if form == "ocsf":
        assert (head["class_uid"], len(head["evidences"])) == (2004, 3)
        uids = [line["metadata"]["uid"] for line in lines]
        assert uids == [f"access/{ACCESSES[0].id}", "events/2", "events/4"]
    else:
        assert (head["log"], head["ref"], head["rule"]) == ("alerts", case.id, case.rule)
        assert head["group"] == {"device_token": events.DEVICE}
        assert [line["ref"] for line in lines] == [ACCESSES[0].id, "2", "4"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_case_as_a_table_is_its_evidence(source: Source, form: str) -> None:
    out = io.BytesIO()
    assert export(source, evidence_of(ALERT), (form, out), silent, ALERT) == 2


def test_where_no_archive_is_the_error_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(ExportError, match="there is no archive yet"),
        open_source(archive_of(tmp_path), spill=tmp_path / "spill"),
    ):
        pass
    assert not (tmp_path / "spill").exists()


async def test_where_kafka_is_away_the_error_says_so(source: Source) -> None:
    with pytest.raises(ExportError, match="Kafka doesn't answer"):
        await source.read_on("127.0.0.1:1")
