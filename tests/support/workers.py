"""Stream workers as processes, on a Kafka and a store."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import orjson
import psycopg
from pydantic import SecretStr

from device_ledger.cli.child import Child
from device_ledger.settings import Settings
from device_ledger.wire.topics import ACCESS, ALERTS, EVENTS
from projections.guard import KafkaRecord
from projections.model import Position
from projections.models import MODELS
from tests.conftest import AnyStore
from tests.samples import events
from tests.support import events_topic
from tests.support.read_models import Dump, dump_of, end_of, until_shown

PARTITIONS = 4
RECORDS = events.on_partitions(events.history(400), PARTITIONS)
HALF = len(RECORDS) // 2
END = end_of(RECORDS)


def settings_of(home: Path, servers: str, url: str) -> Settings:
    """The settings of the workers below."""
    return Settings(home=home, KAFKA_BOOTSTRAP_SERVERS=servers, read_models_url=SecretStr(url))


def environment(home: Path, servers: str, url: str) -> dict[str, str]:
    """The environment that says the same."""
    return {
        **os.environ,
        "DEVICE_LEDGER_HOME": str(home),
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "DEVICE_LEDGER_READ_MODELS_URL": url,
    }


class Worker(Child):
    """``device-ledger streams``."""

    def __init__(self, home: Path, servers: str, url: str, name: str = "streams") -> None:
        words = (sys.executable, "-m", "device_ledger", "streams", "--name", name)
        super().__init__(name, home, environment(home, servers, url), command=words)


def command(home: Path, servers: str, url: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``device-ledger …`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "device_ledger", *words],
        env=environment(home, servers, url),
        capture_output=True,
        timeout=120,
        check=False,
    )


class Running:
    """A worker, its settings, and what was sent."""

    def __init__(self, servers: str, store: AnyStore) -> None:
        self.servers = servers
        self.store = store
        self.settings: Settings = settings_of(store.home, servers, store.url)
        self.worker = self.another("streams")

    def another(self, name: str) -> Worker:
        """A worker on the same store."""
        return Worker(self.store.home, self.servers, self.store.url, name)

    async def send(self, records: list[KafkaRecord]) -> None:
        """Put records on the topic."""
        await events_topic.send(self.servers, records)

    async def shown(self, position: Position) -> Dump:
        """What is shown once that position is."""
        await until_shown(self.settings, position)
        return await dump_of(self.settings)

    def run(self, *words: str) -> tuple[int, bytes, bytes]:
        """Run a command to its end: exit code, output, errors."""
        done = command(self.store.home, self.servers, self.store.url, *words)
        return done.returncode, done.stdout, done.stderr

    def started(
        self, *words: str, stderr: int = subprocess.DEVNULL, start_new_session: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "device_ledger", *words],
            env=environment(self.store.home, self.servers, self.store.url),
            stderr=stderr,
            start_new_session=start_new_session,
        )

    def lose_databases(self) -> None:
        """Remove what the read models are kept in, under whoever uses it."""
        if not self.store.url:
            for model in MODELS:
                for file in (self.store.home / "read-models" / model.name).glob("g*.db*"):
                    file.unlink()
            return
        with psycopg.connect(self.store.url) as connection:
            found = connection.execute("SELECT generation FROM read_models.pointers").fetchall()
            for (name,) in found:
                connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


async def send_slowly(running: Running, records: list[KafkaRecord]) -> None:
    """Send records in many small parts."""
    for start in range(0, len(records), 20):
        await running.send(records[start : start + 20])


Held = dict[str, dict[str, list[int]]]
"""The partitions that each worker has, by topic."""

ALL_HELD = {EVENTS: [*range(PARTITIONS)], ACCESS: [0], ALERTS: [0]}


async def until_workers(running: Running, names: set[str]) -> Held:
    """The partitions of each worker, once these workers have some each, and all together.

    In the middle of a rebalance the group shows some partitions as nobody's.
    """
    while True:
        _, output, _ = await asyncio.to_thread(running.run, "status", "--json")
        held: Held = orjson.loads(output).get("workers", {})
        together = {
            topic: sorted(chain(*(one.get(topic, []) for one in held.values())))
            for topic in ALL_HELD
        }
        if set(held) == names and all(held.values()) and together == ALL_HELD:
            return held


@contextmanager
def started(worker: Worker) -> Iterator[None]:
    """A worker that is ready, and ended in the end."""
    worker.start()
    try:
        worker.wait_until_ready()
        yield
    finally:
        worker.stop()
