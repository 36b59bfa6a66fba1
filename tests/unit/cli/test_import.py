"""``device-ledger import`` against an HTTP server: what it posts, reports and exits with."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from device_ledger.cli.main import app
from tests.support.answering import TAKEN, serving

CSV = "customerId,deviceId,phrase\nanna,phone-1,blue lake\nbert,phone-2,red\ncarl,,green\n"


def run(file: Path, url: str, *options: str) -> Result:
    """Import a file for the standard bank."""
    arguments = ["import", str(file), "--bank-id", "bank-01", "--token", "secret", "--url", url]
    return CliRunner().invoke(app, [*arguments, *options])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two good lines, and one without a device."""
    path = tmp_path / "links.csv"
    path.write_text(CSV)
    return path


def test_lines_are_posted_as_commands(file: Path) -> None:
    with serving({}) as (url, posted):
        run(file, url)
    assert sorted((path, body["customerId"], body["phrase"]) for path, _, body in posted) == [
        ("/v1/bank/customer/device/link", "anna", "blue lake"),
        ("/v1/bank/customer/device/link", "bert", "red"),
    ]


def test_refused_lines_are_reported_without_what_they_hold(file: Path) -> None:
    with serving({"bert": 409}) as (url, _):
        told = run(file, url)
    report = file.with_name("links.csv.refused.csv")
    assert told.exit_code == 1
    assert told.stdout == f"1 lines imported, 2 refused: see {report}\n"
    assert sorted(report.read_text().splitlines()) == [
        f"3,409,{TAKEN}",
        "4,,deviceId is missing",
        "line,status,reason",
    ]


def test_a_file_without_refusals_ends_well(tmp_path: Path) -> None:
    file = tmp_path / "links.csv"
    file.write_text("customerId,deviceId,phrase\nanna,phone-1,blue lake\n")
    with serving({}) as (url, _):
        told = run(file, url)
    assert (told.exit_code, told.stdout) == (0, "1 lines imported, none refused\n")


def test_the_same_line_has_the_same_key_in_every_run_but_for_one_of_another_name(
    file: Path,
) -> None:
    with serving({}) as (url, posted):
        run(file, url)
        run(file, url)
        again = {key for _, key, _ in posted}
        run(file, url, "--run", "second try")
    assert len(again) == 2
    assert len({key for _, key, _ in posted}) == 4


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_ends_the_import_at_once(file: Path, status: int) -> None:
    with serving({"anna": status, "bert": status}) as (url, _):
        told = run(file, url)
    assert (told.exit_code, told.stderr.splitlines()[-1]) == (
        1,
        f"device-ledger: the ledger refuses the token of bank-01 ({status})",
    )


def test_a_report_that_can_not_be_written_is_one_line(file: Path, tmp_path: Path) -> None:
    told = run(file, "http://127.0.0.1:1", "--report", str(tmp_path / "missing" / "report.csv"))
    assert told.exit_code == 1
    assert "can't write" in told.stderr
