"""Lookup nodes: what a lookup costs on one, two and three of them, each with a copy of its own.

The reference of each row is one node; rounds are in turns. Where nodes share the cores of one
machine, the CPU time of a lookup tells what another machine would add.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Final

import httpx
import psutil

from bench import circle
from bench.calls import lookup
from bench.load import Generator, Outcome, UnexpectedAnswerError
from bench.report import Row
from bench.system import System, cpu_seconds, running_system
from device_ledger.broker import free_port
from device_ledger.cli.child import Child
from device_ledger.ready import ready_file

CONNECTIONS: Final = 16
ROUNDS: Final = 5
ROUNDS_FULL: Final = 9
SECONDS: Final = 4.0
NODES: Final = (1, 2, 3)
RECORDS: Final = 'device_ledger_access_records_total{place="kafka"} '

Begin = Callable[[str], None]
Step = Callable[[], None]


class Node(Child):
    """``device-ledger lookup-node`` beside a home, on a free port, with a generator of its own."""

    def __init__(self, home: Path, number: int) -> None:
        self.port = free_port()
        self.generator = Generator()
        own = home / f"node-{number}"
        environment = {
            **os.environ,
            "DEVICE_LEDGER_EMBEDDED_ISSUER": "1",
            "DEVICE_LEDGER_PORT": str(self.port),
            "DEVICE_LEDGER_BROKER_PORT": _broker_port(home),
        }
        words = (sys.executable, "-m", "device_ledger", "lookup-node", "--beside", str(home))
        super().__init__("lookup-node", own, environment, command=words)
        self._ready = ready_file(own, "lookup-node")

    def cpu_seconds(self) -> float:
        """CPU time that it has used so far."""
        return cpu_seconds(psutil.Process(self.pid))

    def recorded(self) -> int:
        """The access records that it has put on Kafka so far."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics").text
        lines = (line for line in text.splitlines() if line.startswith(RECORDS))
        return int(float(next(lines, RECORDS + "0").removeprefix(RECORDS)))


@dataclass
class Measured:
    """The rows of so many nodes."""

    nodes: int
    rate: Row = field(init=False)
    cpu: Row = field(init=False)
    tail: Row = field(init=False)

    def __post_init__(self) -> None:
        name = f"lookup on {self.nodes} node{'s' if self.nodes > 1 else ''}"
        self.rate = Row(name, "requests/s", "higher")
        self.cpu = Row(f"{name}: CPU each", "µs", "lower")
        self.tail = Row(f"{name}: p99", "ms", "lower")

    def add(self, outcomes: Sequence[Outcome], cpu: float) -> None:
        """Take a round's figures."""
        answers = sum(one.answers for one in outcomes)
        self.rate.rounds.ours.append(sum(one.rate for one in outcomes))
        self.cpu.rounds.ours.append(cpu / answers * 1e6)
        latencies = [latency for one in outcomes for latency in one.latencies_ms]
        self.tail.rounds.ours.append(quantiles(latencies, n=100)[98])


def measure(begin: Begin, step: Step, full: bool) -> list[Row]:
    """Lookups a second, CPU time of each, and the 99th percentile, of one, two and three nodes.

    Raises:
        ChildEnded: a process could not start.
        UnexpectedAnswerError: an answer was not 200, or not on record: the run is void.
    """
    rounds = ROUNDS_FULL if full else ROUNDS
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="device-ledger-nodes-"))
        home = Path(folder)
        begin("starting the system")
        system = stack.enter_context(running_system(home))
        step()
        begin(f"linking {circle.POPULATION:,} devices")
        nodes = [Node(home, number + 1) for number in range(max(NODES))]
        for node in nodes:
            stack.callback(node.generator.close)
        circle.populate(system, nodes[0].generator)
        for node in nodes:
            node.start()
            stack.callback(node.stop)
        for node in nodes:
            node.wait_until_ready()
        step()
        begin("lookups on nodes")
        return _rows(system, nodes, rounds, step)


def _rows(system: System, nodes: Sequence[Node], rounds: int, step: Step) -> list[Row]:
    lookups = [
        lookup(system.merchants[0], f"bench-{number}") for number in range(circle.POPULATION)
    ]
    measured = [Measured(count) for count in NODES]
    for _ in range(rounds):
        for one in measured:
            used = nodes[: one.nodes]
            cpu, recorded = _cpu(used), _recorded(used)
            outcomes = _load(used, lookups)
            one.add(outcomes, _cpu(used) - cpu)
            if _recorded(used) - recorded != sum(outcome.answers for outcome in outcomes):
                raise UnexpectedAnswerError("not each lookup has an access record on Kafka")
            step()
        # The next round the other way: what wears on the machine wears on all of them.
        measured.reverse()
    measured.sort(key=lambda one: one.nodes)
    first = measured[0]
    for one in measured[1:]:
        one.rate.rounds.reference = first.rate.rounds.ours
        one.cpu.rounds.reference = first.cpu.rounds.ours
        one.tail.rounds.reference = first.tail.rounds.ours
    return [row for one in measured for row in (one.rate, one.cpu, one.tail)]


def _load(nodes: Sequence[Node], lookups: Sequence[bytes]) -> list[Outcome]:
    """The same number of connections in all, spread over the nodes."""
    connections = CONNECTIONS // len(nodes)

    def on(node: Node) -> Outcome:
        return node.generator.repeat(node.port, lookups, connections, SECONDS)

    with ThreadPoolExecutor(len(nodes)) as threads:
        return list(threads.map(on, nodes))


def _cpu(nodes: Sequence[Node]) -> float:
    return sum(node.cpu_seconds() for node in nodes)


def _recorded(nodes: Sequence[Node]) -> int:
    return sum(node.recorded() for node in nodes)


def _broker_port(home: Path) -> str:
    """The port of the local broker that serves a home."""
    pid = json.loads(ready_file(home, "broker").read_text())["pid"]
    return psutil.Process(pid).environ()["DEVICE_LEDGER_BROKER_PORT"]
