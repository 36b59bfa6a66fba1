"""``device-ledger replay`` asked wrongly."""

import pytest
from typer.testing import CliRunner

from device_ledger.cli.main import app


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--from", "lastweek"), "--from is no time; it takes RFC 3339 ("),
        (("--from", "today", "--to", "tomorrow"), "--to is no time; it takes RFC 3339 ("),
        (("--from", "today", "--to", "yesterday"), "--to must be after --from\n"),
        (("--from", "7d", "--follow", "--archive", "a"), "--follow needs Kafka, --archive is"),
    ],
)
def test_what_is_asked_wrongly_is_told_in_a_line(words: tuple[str, ...], told: str) -> None:
    result = CliRunner().invoke(app, ["replay", *words])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"device-ledger: {told}")
    assert len(result.stderr.splitlines()) == 1
