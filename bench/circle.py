"""The whole circle over HTTP: how soon after its answer a lookup shows a link.

In turns with an empty Faust agent on the same broker, which gets as many records a second.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from typing import Final

from bench.calls import link, link_all, lookup
from bench.empty_agent import EmptyAgent, running_empty_agent
from bench.load import Generator
from bench.report import Begin, Rounds, Row, Step
from bench.system import PARTS, System, running_system

ROUNDS: Final = 5
POPULATION: Final = 10_000
RATES: Final = (30, 100)
"""Links a second: 2.6 million a day, and what fills two slow cores."""
FOLLOW_SECONDS: Final = 10
FOLLOWED: Final = 300
"""Links of a round that are looked up, and records that the empty agent gets: lookups of each link
would be most of the load.
"""


def measure(begin: Begin, step: Step, full: bool) -> list[Row]:  # noqa: ARG001
    """From a link's answer to the lookup that shows it, with ten thousand devices there."""
    begin("starting the system")
    with (
        tempfile.TemporaryDirectory(prefix="device-ledger-bench-") as home,
        running_system(Path(home)) as system,
        Generator() as generator,
        running_empty_agent(system.brokers, FOLLOWED) as empty,
    ):
        begin(f"linking {POPULATION:,} devices")
        populate(system, generator)
        rows = []
        for rate in RATES:
            begin(f"{rate} links/s")
            rows += _measured(system, generator, empty, rate, step)
        return rows


def populate(system: System, generator: Generator) -> None:
    """Link devices of as many customers, and wait until the lookup shows them all."""
    links = [link(system, f"bench-{number}") for number in range(POPULATION)]
    link_all(system, generator, links, "bench-last")


def _measured(
    system: System, generator: Generator, empty: EmptyAgent, rate: int, step: Step
) -> list[Row]:
    """At a steady rate of links."""
    name = f"answer to lookup at {rate} links/s"
    middle = Row(f"{name}, p50, against an empty Faust agent", "ms", "lower")
    tail = Row(f"{name}, p99, against an empty Faust agent", "ms", "lower", goal=3.0)
    cpus = {part: Row(f"{part} at {rate} links/s: CPU a link", "µs", "lower") for part in PARTS}
    for number in range(ROUNDS):
        names = [f"{rate}-{number}-{one}" for one in range(rate * FOLLOW_SECONDS)]
        before = {part: system.cpu_seconds(part) for part in PARTS}
        outcome = generator.follow(system.port, _followed(system, names), rate)
        for part, row in cpus.items():
            used = system.cpu_seconds(part) - before[part]
            row.rounds.ours.append(used / outcome.answers * 1e6)
        system.settle()
        ours, its = (
            quantiles(one, n=100) for one in (outcome.latencies_ms, empty.latencies_ms(rate))
        )
        for row, percentile in ((middle, 50), (tail, 99)):
            row.rounds.ours.append(ours[percentile - 1])
            row.rounds.reference.append(its[percentile - 1])
        step()
    absolute = Row(f"{name}, p99", "ms", "lower", 50.0, Rounds(list(tail.rounds.ours)))
    return [middle, tail, absolute, *cpus.values()]


def _followed(system: System, names: Sequence[str]) -> list[tuple[bytes, bytes]]:
    every = len(names) // FOLLOWED
    return [
        (link(system, name), lookup(system.merchants[0], name) if number % every == 0 else b"")
        for number, name in enumerate(names)
    ]
