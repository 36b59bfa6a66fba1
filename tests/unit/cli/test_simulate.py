"""``device-ledger simulate``: what it writes, posts and exits with."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from device_ledger.cli.main import app
from device_ledger.simulation.table import OWN_COLUMNS, RBA_COLUMNS
from projections.archive.reader import read_raw
from tests.support.answering import serving

TOKENS = {f"bank-{number:02d}": "secret" for number in (1, 2, 3)} | {
    f"merchant-{number:03d}": "secret" for number in range(1, 21)
}


def run(*options: str) -> Result:
    """Simulate a few hundred calls."""
    return CliRunner().invoke(app, ["simulate", "--commands", "200", *options])


@pytest.fixture
def tokens(tmp_path: Path) -> str:
    """A file with a token for every caller."""
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps(TOKENS))
    return str(file)


def test_calls_are_only_written_where_that_is_asked(tmp_path: Path) -> None:
    out = tmp_path / "calls.ndjson"
    told = run("--no-post", "--lookups", "0.1", "--out", str(out))
    assert (told.exit_code, told.stdout) == (0, f"wrote 220 calls to {out}\n")
    numbers = [json.loads(line)["number"] for line in out.read_text().splitlines()]
    assert numbers == list(range(1, 221))


def test_a_csv_has_the_columns_of_the_rba_data_set(tmp_path: Path) -> None:
    out = tmp_path / "calls.csv"
    run("--no-post", "--out", str(out))
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == (*OWN_COLUMNS, *RBA_COLUMNS)
    logins = [row for row in rows if row["command"] == "login-seen"]
    assert {bool(row["User Agent String"]) for row in logins} == {True}


def test_every_call_is_posted_and_its_answer_written(tmp_path: Path, tokens: str) -> None:
    answers = tmp_path / "answers.ndjson"
    with serving() as (url, posted):
        told = run("--url", url, "--tokens", tokens, "--lookups", "0.1", "--answers", str(answers))
    assert told.exit_code == 0
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    assert sorted(line["n"] for line in lines) == list(range(1, 221))
    assert {line["key"] for line in lines} == {key for _, key, _ in posted}
    assert {line["status"] for line in lines} == {200}


def test_a_second_run_sends_the_same_keys_and_another_seed_others(tokens: str) -> None:
    keys = []
    for seed in ("1", "1", "2"):
        with serving() as (url, posted):
            run("--url", url, "--tokens", tokens, "--seed", seed)
        keys.append({key for _, key, _ in posted})
    assert keys[0] == keys[1]
    assert keys[0].isdisjoint(keys[2])


def test_a_device_is_told_of_in_order(tmp_path: Path, tokens: str) -> None:
    out = tmp_path / "calls.ndjson"
    with serving() as (url, posted):
        run("--url", url, "--tokens", tokens, "--customers", "5", "--out", str(out))
    made = [json.loads(line) for line in out.read_text().splitlines()]
    for device in {call["body"]["deviceId"] for call in made}:
        due = [call["body"] for call in made if call["body"]["deviceId"] == device]
        assert [body for _, _, body in posted if body["deviceId"] == device] == due


def test_answers_that_say_that_something_is_wrong_end_with_1(tmp_path: Path, tokens: str) -> None:
    out = tmp_path / "calls.ndjson"
    run("--no-post", "--out", str(out))
    customer = json.loads(out.read_text().splitlines()[0])["body"]["customerId"]
    for status, code in ((409, 0), (404, 0), (500, 1), (403, 1)):
        with serving({customer: status}) as (url, _):
            assert run("--url", url, "--tokens", tokens).exit_code == code


def test_a_caller_without_a_token_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text('{"bank-01": "secret"}')
    with serving() as (url, _):
        told = run("--url", url, "--tokens", str(file))
    assert told.exit_code == 1
    assert "has no token of bank-0" in told.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--no-post",), "device-ledger: --no-post without --out does nothing"),
        (("--no-post", "--out", "/missing/calls"), "device-ledger: can't write /missing/calls: "),
        (("--tokens", "/missing"), "device-ledger: can't read tokens from /missing: "),
    ],
)
def test_what_can_not_work_is_one_line(options: tuple[str, ...], line: str) -> None:
    told = run(*options)
    assert told.exit_code in {1, 2}
    assert told.stderr.startswith(line)
    assert told.stderr.count("\n") == 1


def test_without_tokens_and_issuer_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from device_ledger.settings import settings

    monkeypatch.setenv("DEVICE_LEDGER_HOME", str(tmp_path))
    settings.cache_clear()
    told = run()
    settings.cache_clear()
    assert "has no embedded issuer: run `device-ledger up`, or give tokens" in told.stderr


def test_attacks_are_posted_among_the_rest_and_labelled_with_the_time_of_their_answers(
    tmp_path: Path, tokens: str
) -> None:
    labels = tmp_path / "labels.ndjson"
    with serving() as (url, posted):
        told = run("--url", url, "--tokens", tokens, "--attacks", "--labels", str(labels))
    assert told.exit_code == 0
    lines = [json.loads(line) for line in labels.read_text().splitlines()]
    attacks = [line["kind"] for line in lines if line["attack"]]
    assert "device-farm" in {line["rule"] for line in lines}
    assert len(attacks) == len(set(attacks)) == 10
    assert {line["firstAt"] <= line["lastAt"] and bool(line["firstAt"]) for line in lines} == {True}
    assert len({key for _, key, _ in posted}) == len(posted)


def test_labels_without_attacks_are_refused(tmp_path: Path) -> None:
    told = run("--labels", str(tmp_path / "labels.ndjson"))
    assert told.exit_code == 2
    assert "--labels without --attacks" in told.stderr


def test_a_history_is_written_as_an_archive_with_labels_that_name_its_entries(
    tmp_path: Path,
) -> None:
    archive, labels = tmp_path / "history", tmp_path / "labels.ndjson"
    told = run(
        *("--archive", str(archive), "--days", "3", "--events", "2000"),
        *("--attacks", "--labels", str(labels)),
    )
    assert told.exit_code == 0
    assert "left out, since they need more days than there are: out-of-the-blue" in told.stderr
    raw = [line for log in ("events", "access") for line in read_raw(archive, log)]
    refs = {json.loads(line.raw)["id"] for line in raw}
    lines = [json.loads(line) for line in labels.read_text().splitlines()]
    assert f"wrote {len(raw):,} entries of 3 days to {archive}" in told.stdout
    assert {ref for line in lines for ref in line["refs"]} <= refs


def test_an_archive_is_not_written_over_another(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    told = run("--archive", str(tmp_path))
    assert told.exit_code == 2
    assert "is not empty" in told.stderr
