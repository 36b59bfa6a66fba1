"""A Kafka, a worker on each store, and what must be shown in the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from device_ledger.wire.topics import ACCESS, ALERTS, DEAD_LETTERS, EVENTS
from tests.conftest import AnyStore
from tests.support import events_topic
from tests.support.kafka import local_broker
from tests.support.list_topic import ListTopic
from tests.support.projecting import Projecting
from tests.support.read_models import Dump
from tests.support.workers import PARTITIONS, RECORDS, Running, started


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Kafka whose topics these tests may remove."""
    with local_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running.bootstrap_servers


@pytest.fixture
async def servers(broker: str) -> str:
    """A Kafka with empty topics. The group's offsets are those of the test before: no matter."""
    for name in (EVENTS, ACCESS, ALERTS, DEAD_LETTERS):
        await events_topic.remake(broker, PARTITIONS if name == EVENTS else 1, name)
    return broker


@pytest.fixture
async def expected(tmp_path: Path) -> Dump:
    """What all records, once and in order, give."""
    fresh = Projecting("", tmp_path / "expected")
    fresh.topics[EVENTS] = ListTopic(PARTITIONS, RECORDS, batch=1000)
    await fresh.apply([])
    return await fresh.dump()


@pytest.fixture
def running(servers: str, any_store: AnyStore) -> Iterator[Running]:
    """A worker that is ready, on SQLite and then on PostgreSQL."""
    made = Running(servers, any_store)
    with started(made.worker):
        yield made


@pytest.fixture
def on_sqlite(servers: str, tmp_path: Path) -> Iterator[Running]:
    """A worker that is ready, for what no store makes a difference to."""
    made = Running(servers, AnyStore("", tmp_path))
    with started(made.worker):
        yield made
