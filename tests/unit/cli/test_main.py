"""The command line's frame: help, version, and failures told in one line."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner, Result

from device_ledger import __version__
from device_ledger.cli.errors import CliError
from device_ledger.cli.main import Commands, app
from device_ledger.settings import Settings

HEAVY = (
    "aiohttp",
    "aiokafka",
    "api",
    "eventsourcing",
    "fastapi",
    "faust",
    "httpx",
    "psycopg",
    "pydantic",
)


def run_failing(error: Exception) -> Result:
    """What the command line makes of a command that raises ``error``."""
    failing = typer.Typer(cls=Commands)

    @failing.callback()
    def group() -> None: ...

    @failing.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(failing, ["fail"])


def test_the_version_is_the_packages() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"device-ledger {__version__}\n")


def test_help_names_every_command_that_is_registered() -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    names = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert result.exit_code == 0
    assert [name for name in names if f" {name} " not in result.stdout] == []


def test_every_command_says_what_it_does() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name, command in commands.items() if not command.help] == []


def test_an_expected_failure_is_one_line_and_an_exit_code() -> None:
    failed = run_failing(CliError("port 8000 is in use"))
    assert (failed.exit_code, failed.stderr) == (1, "device-ledger: port 8000 is in use\n")
    assert run_failing(CliError("no such bank", exit_code=2)).exit_code == 2


def test_a_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE_LEDGER_PORT", "seventy-thousand")
    with pytest.raises(ValueError, match="port") as raised:
        Settings()
    failed = run_failing(raised.value)
    assert failed.exit_code == 2
    assert failed.stderr.startswith("device-ledger: wrong setting: DEVICE_LEDGER_PORT: ")
    assert failed.stderr.count("\n") == 1
    assert "seventy-thousand" not in failed.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEVICE_LEDGER_EVENT_STORE_URL", "mysql://ledger:secret-word@db/events"),
        ("DEVICE_LEDGER_VAULT_URL", "db/vault?password=secret-word"),
        ("DEVICE_LEDGER_ISSUER", "secret-word"),
    ],
)
def test_a_url_of_another_kind_is_refused_before_anybody_repeats_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="for Settings") as raised:
        Settings()
    failed = run_failing(raised.value)
    assert (failed.exit_code, failed.stderr.count("\n")) == (2, 1)
    assert failed.stderr.startswith(f"device-ledger: wrong setting: {name}: ")
    assert "secret-word" not in failed.stderr


def test_any_other_error_is_not_hidden() -> None:
    assert repr(run_failing(ValueError("a bug")).exception) == "ValueError('a bug')"


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; import device_ledger.cli.main; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert loaded.stdout == "[]\n"
