"""``device-ledger status`` as a user calls it where nothing runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device_ledger.broker import free_port
from device_ledger.cli.main import app
from device_ledger.settings import settings


@pytest.fixture(autouse=True)
def read_anew() -> Iterator[None]:
    """Settings are read once a process: here once a test."""
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_where_nothing_runs_it_says_so_and_that_kafka_is_away(tmp_path: Path) -> None:
    port = free_port()
    env = {"DEVICE_LEDGER_HOME": str(tmp_path), "DEVICE_LEDGER_BROKER_PORT": str(port)}
    result = CliRunner().invoke(app, ["status"], env=env)
    told = f"Nothing runs here\nKafka doesn't answer at 127.0.0.1:{port}\n"
    assert (result.exit_code, result.stdout) == (1, told)
