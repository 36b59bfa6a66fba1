"""Fixtures for all tests: a real Kafka, a real PostgreSQL, and both stores."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.support.docker import docker_answers
from tests.support.kafka import running_kafka
from tests.support.postgres import fresh_database, running_postgres
from tests.support.seed import SEED

NO_BROKER: Final = "1"
"""A port that the system keeps for what nobody runs any more."""


@dataclass(frozen=True)
class AnyStore:
    """Where a test keeps its state: ``url`` is empty for SQLite below ``home``."""

    url: str
    home: Path


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of a real Kafka that all tests share: give topics names of your own."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as servers:
        yield servers


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a real PostgreSQL server that all tests share."""
    with running_postgres() as url:
        yield url


@pytest.fixture
def postgres_database(postgres: str) -> Iterator[str]:
    """URL of an empty database for one test."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> AnyStore:
    """Run the test on each store: SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        return AnyStore("", tmp_path)
    return AnyStore(request.getfixturevalue("postgres_database"), tmp_path)


@pytest.fixture
def vault_url(any_store: AnyStore, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of the vault beside that store: a database of its own; empty for SQLite."""
    if not any_store.url:
        yield ""
        return
    with fresh_database(request.getfixturevalue("postgres")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Run the test with each store's URL: empty for SQLite, then a PostgreSQL database."""
    if request.param == "sqlite":
        return ""
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings, and a ledger that runs here, out of tests."""
    for name in os.environ:
        if name.startswith("DEVICE_LEDGER_") and name != "DEVICE_LEDGER_TEST_POSTGRES_URL":
            monkeypatch.delenv(name)
    # A test that names no broker means none; at the default port somebody's `up` may serve.
    monkeypatch.setenv("DEVICE_LEDGER_BROKER_PORT", NO_BROKER)


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell of a failure when it comes: a run that is cut off tells nothing at its end."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        sys.stderr.write(f"\n{report.nodeid}\n{report.longreprtext}\n")


def pytest_report_header() -> str:
    """Tell how to choose the same again."""
    return f"TEST_SEED={SEED}"


def pytest_configure(config: pytest.Config) -> None:
    """Register our marker; have brokers compile as what ends soon does, for a third less CPU."""
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
    config.addinivalue_line(
        "markers", "docker: needs a Docker engine; left out where there is none"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a Docker engine where none answers."""
    needing = [item for item in items if item.get_closest_marker("docker")]
    if needing and not docker_answers():
        items[:] = [item for item in items if item not in needing]
        config.hook.pytest_deselected(items=needing)
    config.stash[_DOCKER] = (len(needing), docker_answers())


_DOCKER = pytest.StashKey[tuple[int, bool]]()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say as the last line what became of the tests that need a Docker engine."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or _DOCKER not in config.stash:
        return
    count, answered = config.stash[_DOCKER]
    outcome = "were collected" if answered else "were not collected: none answers here"
    reporter.write_line(f"{count} tests that need a Docker engine {outcome}")
