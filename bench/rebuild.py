"""Rebuilding the lookup from Kafka, against peers that keep the same table from the same topic.

A round of each, in turns. A peer's clock runs from its first record to its last; ours from the
call until the new generation is live. A round whose table has another number of linked devices
than the events leave is void and ends the measurement. A Faust table is too slow for all events: it
gets a topic of its own, with fewer.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg

from bench import topic
from bench.report import Rounds, Row, VoidRunError
from bench.system import cpu_seconds
from device_ledger.wire.topics import EVENTS
from tests.support.kafka import local_broker
from tests.support.postgres import fresh_database, running_postgres

PEERS: Final = Path(__file__).with_name("peers")
ROUNDS: Final = 5
EVENTS_FULL: Final = 1_000_000
EVENTS_OF_FAUST: Final = 100_000
EVENTS_QUICK: Final = 20_000
_FEWER: Final = f"{EVENTS}.fewer"
_PATIENCE: Final = 1_800
_PROCESSES: Final = {1: "one process", 2: "two processes"}


class VoidRoundError(VoidRunError):
    """A program's table is not what the events leave, or it failed."""


@dataclass
class Side:
    """A program and what its rounds came to, in events a second and CPU microseconds an event.

    ``servers`` are the processes whose CPU time counts with its own.
    """

    name: str
    command: Callable[[str], list[str]]
    environment: dict[str, str]
    servers: list[psutil.Process]
    expected: topic.Filled
    rates: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)

    def turn(self) -> None:
        """One round, from an empty folder.

        Raises:
            VoidRoundError: the round doesn't count.
        """
        before = sum(map(cpu_seconds, self.servers))
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            done = subprocess.run(
                self.command(folder),
                env={**os.environ, **self.environment},
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
        told = _told(done)
        if (told.get("events"), told.get("linked")) != (self.expected.events, self.expected.linked):
            words = done.stderr.decode(errors="replace")[-2_000:]
            raise VoidRoundError(f"{self.name}: {told}, due is {self.expected}\n{words}")
        served = sum(map(cpu_seconds, self.servers)) - before
        self.rates.append(told["events"] / told["seconds"])
        self.cpus.append((told["cpu"] + served) / told["events"] * 1e6)


def _told(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    for line in reversed(done.stdout.splitlines()):
        if line.startswith(b'{"'):
            told: dict[str, Any] = json.loads(line)
            return told
    return {}


def measure(begin: Callable[[str], None], step: Callable[[], None], full: bool) -> list[Row]:
    """Rebuild in turns; ``begin`` is told what is done, ``step`` is called after each turn.

    Raises:
        VoidRoundError: a program failed, or its table is wrong.
    """
    if full:
        begin("installing the peers")
        for script in sorted(PEERS.glob("*/install.sh")):
            subprocess.run(["sh", str(script)], check=True, stdout=subprocess.DEVNULL)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(local_broker(home))
        servers = broker.bootstrap_servers
        begin("filling the topic")
        count = EVENTS_FULL if full else EVENTS_QUICK
        filled = asyncio.run(topic.fill(servers, EVENTS, count))
        fewer = asyncio.run(topic.fill(servers, _FEWER, EVENTS_OF_FAUST)) if full else filled
        step()
        postgres = stack.enter_context(running_postgres("-c max_connections=50"))
        database = stack.enter_context(fresh_database(postgres))
        kafka, database_server = psutil.Process(broker.pid), _server(postgres)
        ours = _ours(servers, database, [kafka], [kafka, database_server], filled)
        peers = _peers(servers, [kafka], filled, fewer) if full else []
        for number in range(ROUNDS):
            sides = ours + peers
            for side in sides if number % 2 == 0 else reversed(sides):
                begin(f"rebuilding: {side.name}")
                side.turn()
                step()
        return _rows(ours, peers)


def _server(url: str) -> psutil.Process:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting('data_directory')").fetchone()
    assert row is not None
    return psutil.Process(int(Path(row[0], "postmaster.pid").read_text().split()[0]))


def _ours(
    servers: str,
    database: str,
    sqlite: list[psutil.Process],
    postgres: list[psutil.Process],
    filled: topic.Filled,
) -> list[Side]:
    def side(store: str, url: str, served_by: list[psutil.Process], processes: int) -> Side:
        words = [sys.executable, "-m", "bench.rebuilding", servers, str(processes)]
        name = f"{store}, {_PROCESSES[processes]}"
        on_store = {"DEVICE_LEDGER_READ_MODELS_URL": url}
        return Side(name, lambda folder: [*words, folder], on_store, served_by, filled)

    return [
        side(*store, processes)
        for store in (("SQLite", "", sqlite), ("PostgreSQL", database, postgres))
        for processes in _PROCESSES
    ]


def _peers(
    servers: str, kafka: list[psutil.Process], filled: topic.Filled, fewer: topic.Filled
) -> list[Side]:
    streams = PEERS / "kafka_streams" / "target"
    path = f"{streams / 'classes'}:{streams / 'lib'}/*"
    java = ["java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", path, "LinkTable"]

    def side(name: str, program: list[str], events: str, expected: topic.Filled) -> Side:
        told = [servers, events, str(expected.events)]
        return Side(name, lambda folder: [*program, *told, folder], {}, kafka, expected)

    return [
        side("Kafka Streams", java, EVENTS, filled),
        side("Quix Streams", _python("quix_streams"), EVENTS, filled),
        side("a Faust table", _python("faust_table"), _FEWER, fewer),
    ]


def _python(peer: str) -> list[str]:
    return [str(PEERS / "installed" / peer / "bin" / "python"), str(PEERS / peer / "link_table.py")]


_GOALS: Final = {"Kafka Streams": 2.0, "Quix Streams": 2.0, "a Faust table": 25.0}


def _rows(ours: list[Side], peers: list[Side]) -> list[Row]:
    rows = []
    others: list[Side | None] = [*peers] or [None]
    for own in ours:
        for peer in others:
            name = f"rebuild on {own.name}" + (f" against {peer.name}" if peer else "")
            goal = _GOALS[peer.name] if peer else None
            rates = Rounds(own.rates, peer.rates if peer else [])
            cpus = Rounds(own.cpus, peer.cpus if peer else [])
            rows.append(Row(name, "events/s", "higher", goal, rates))
            rows.append(Row(f"{name}: CPU each", "µs", "lower", None, cpus))
    return rows
