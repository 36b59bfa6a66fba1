"""``device-ledger export`` as a user calls it."""

import base64
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pytest
from typer.testing import CliRunner, Result

from device_ledger.cli.main import app
from device_ledger.settings import settings
from device_ledger.vault.tokens import TokenKey
from projections.archive.layout import archive_of
from projections.archive.make import write_archive
from tests.samples import events
from tests.unit.projections.export.conftest import exact

KEY = bytes(range(32))
DEVICE = "d3v1c3-00000001"
TOKEN = TokenKey(KEY).device(DEVICE)
LINES = [events.registered(1), events.linked(2, device=TOKEN), events.registered(3, bankId="b")]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an archive and keys."""
    write_archive(archive_of(tmp_path), [exact(one) for one in LINES])
    (tmp_path / "keys").mkdir()
    for name in ("master", "token"):
        (tmp_path / "keys" / f"{name}.key").write_bytes(base64.b64encode(KEY))
    return tmp_path


@pytest.fixture(autouse=True)
def read_anew() -> Iterator[None]:
    """Settings are read once a process: here once a test."""
    settings.cache_clear()
    yield
    settings.cache_clear()


def run(home: Path, *words: str, offline: bool = True, given: str = "") -> Result:
    options = ("--archive-only",) if offline else ()
    env = {"DEVICE_LEDGER_HOME": str(home), "COLUMNS": "200"}
    return CliRunner().invoke(app, ["export", *words, *options], env=env, input=given)


def refs(content: bytes) -> list[str]:
    return [orjson.loads(line)["ref"] for line in content.splitlines()]


def test_the_trail_goes_to_the_standard_output_and_the_count_beside_it(home: Path) -> None:
    result = run(home)
    assert (result.exit_code, refs(result.stdout_bytes)) == (0, ["1", "2", "3"])
    assert result.stderr.endswith("3 lines exported\n")


def test_a_file_is_there_whole_and_for_its_owner_alone(home: Path) -> None:
    file = home / "trail.ndjson"
    file.write_text("before")
    assert run(home, "-o", str(file), "--bank", "b").exit_code == 0
    assert refs(file.read_bytes()) == ["3"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in home.glob(".trail*")] == []


def test_an_export_that_fails_leaves_the_file_as_it_was(home: Path) -> None:
    file = home / "trail.csv"
    file.write_text("before")
    full = OSError(28, "No space left on device")
    with mock.patch("projections.export.writers.Csv.lines", side_effect=full):
        result = run(home, "-f", "csv", "-o", str(file))
    assert (result.exit_code, file.read_text()) == (1, "before")
    assert result.stderr.endswith(f"cannot write {file}: No space left on device\n")
    assert [path.name for path in home.glob(".trail*")] == []


@pytest.mark.parametrize("way", ["--device-id", "--device-token", "stdin"])
def test_a_device_is_named_by_its_id_or_its_token(home: Path, way: str) -> None:
    if way == "stdin":
        result = run(home, "--device-id", "-", given=f"{DEVICE}\n")
    else:
        result = run(home, way, DEVICE if way == "--device-id" else TOKEN)
    assert (result.exit_code, refs(result.stdout_bytes)) == (0, ["2"])
    assert DEVICE not in result.output


def test_a_day_begins_in_utc(home: Path) -> None:
    at = events.at(2).replace("Z", "+00:00")
    assert refs(run(home, "--from", at).stdout_bytes) == ["2", "3"]
    assert refs(run(home, "--from", "2026-01-31", "--to", "2026-02-01").stdout_bytes) == [
        "1",
        "2",
        "3",
    ]
    assert refs(run(home, "--to", "2026-01-31").stdout_bytes) == []
    assert refs(run(home, "--from", "yesterday", "--to", "now").stdout_bytes) == []
    assert refs(run(home, "--to", "today").stdout_bytes) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--from", "lastweek"), "--from is no time; it takes RFC 3339"),
        (("--to", "2026-01-31T09:30:00"), "--to is no time; it takes RFC 3339"),
        (("--outcome", "lost"), "--outcome is one of: done, refused, found, not-found"),
        (("--alert", "a", "--customer", "b"), "--alert stands alone"),
        (("--device-id", "a", "--device-token", "b"), "two ways to say one thing"),
        (("--device-id", "not a device"), "deviceId must be 1 to 128 characters"),
        (("--type", "device.sold.v1"), "--type device.sold.v1 is none; they are: alert"),
    ],
)
def test_what_is_asked_wrongly_is_told_in_a_line(
    home: Path, words: tuple[str, ...], told: str
) -> None:
    result = run(home, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr
    assert "not a device" not in result.stderr


def test_a_device_id_without_the_token_key_here_fails_in_a_line(home: Path) -> None:
    (home / "keys" / "token.key").unlink()
    result = run(home, "--device-id", DEVICE)
    assert (result.exit_code, DEVICE in result.output) == (1, False)
    assert "--device-id needs the token key here: no token key" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Kafka doesn't answer"),
        (("--alert", "5f0c8a5e-7a53-5f0e-9d55-1f2e6f5c7a42"), "Kafka doesn't answer"),
    ],
)
def test_where_kafka_is_away_nothing_is_exported(
    home: Path, words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = run(home, "-o", str(home / "none"), *words, offline=False)
    assert (result.exit_code, (home / "none").exists()) == (1, False)
    assert told in result.stderr


def test_an_alert_that_can_not_be_read_is_told_in_a_line(home: Path) -> None:
    result = run(home, "--alert", "5f0c8a5e-7a53-5f0e-9d55-1f2e6f5c7a42")
    assert result.exit_code == 1
    assert "the alerts can't be read: `device-ledger status` says why" in result.stderr


def test_a_reader_that_goes_away_is_told_in_a_line(home: Path) -> None:
    gone: Any = BrokenPipeError()
    with mock.patch("projections.export.writers.Ndjson.lines", side_effect=gone):
        result = run(home)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "went away" in result.stderr
