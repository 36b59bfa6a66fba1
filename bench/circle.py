"""The whole circle over HTTP: how soon after its answer a lookup shows a link."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from typing import Final

from bench.calls import link, link_all, lookup
from bench.load import Generator
from bench.report import Begin, Row, Step
from bench.system import PARTS, System, running_system

ROUNDS: Final = 5
POPULATION: Final = 10_000
RATE: Final = 300
FOLLOW_SECONDS: Final = 10
FOLLOWED: Final = 3
"""One link of so many is looked up: lookups of each would be most of the load."""


def measure(begin: Begin, step: Step, full: bool) -> list[Row]:  # noqa: ARG001
    """From a link's answer to the lookup that shows it, with ten thousand devices there."""
    begin("starting the system")
    with (
        tempfile.TemporaryDirectory(prefix="device-ledger-bench-") as home,
        running_system(Path(home)) as system,
        Generator() as generator,
    ):
        begin(f"linking {POPULATION:,} devices")
        populate(system, generator)
        begin(f"{RATE} links/s")
        return _measured(system, generator, step)


def populate(system: System, generator: Generator) -> None:
    """Link devices of as many customers, and wait until the lookup shows them all."""
    links = [link(system, f"bench-{number}") for number in range(POPULATION)]
    link_all(system, generator, links, "bench-last")


def _measured(system: System, generator: Generator, step: Step) -> list[Row]:
    """At a steady rate of links."""
    middle = Row(f"answer to lookup at {RATE} links/s, p50", "ms", "lower")
    tail = Row(f"answer to lookup at {RATE} links/s, p99", "ms", "lower", goal=50.0)
    cpus = {part: Row(f"{part} at {RATE} links/s: CPU a link", "µs", "lower") for part in PARTS}
    for number in range(ROUNDS):
        names = [f"round-{number}-{one}" for one in range(RATE * FOLLOW_SECONDS)]
        before = {part: system.cpu_seconds(part) for part in PARTS}
        outcome = generator.follow(system.port, _followed(system, names), RATE)
        for part, row in cpus.items():
            used = system.cpu_seconds(part) - before[part]
            row.rounds.ours.append(used / outcome.answers * 1e6)
        percentiles = quantiles(outcome.latencies_ms, n=100)
        middle.rounds.ours.append(percentiles[49])
        tail.rounds.ours.append(percentiles[98])
        step()
    return [middle, tail, *cpus.values()]


def _followed(system: System, names: Sequence[str]) -> list[tuple[bytes, bytes]]:
    return [
        (link(system, name), lookup(system.merchants[0], name) if number % FOLLOWED == 0 else b"")
        for number, name in enumerate(names)
    ]
