"""The whole circle over HTTP: reads against bare routes, and how soon a lookup shows a link."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Final

import psutil

from bench.load import Generator, request
from bench.report import Row
from bench.system import PARTS, System, cpu_seconds

POPULATION: Final = 10_000
PAGE: Final = 20
CONNECTIONS: Final = 16
LINKING_CONNECTIONS: Final = 128
READ_SECONDS: Final = 4.0
RATE: Final = 300
FOLLOW_SECONDS: Final = 10
FOLLOWED: Final = 3
"""One link of so many is looked up: lookups of each would be most of the load."""


@dataclass(frozen=True)
class Bare:
    """The reference's port and process."""

    port: int
    process: psutil.Process


def populate(system: System, generator: Generator) -> None:
    """Link devices of as many customers, and wait until the lookup shows them all."""
    links = [link(system, f"bench-{number}") for number in range(POPULATION)]
    generator.send_all(system.port, links, LINKING_CONNECTIONS)
    last = f"bench-{POPULATION - 1}"
    generator.follow(system.port, [(link(system, last), lookup(system, last))], RATE)


def measure_reads(
    system: System, bare: Bare, generator: Generator, rounds: int, step: Callable[[], None]
) -> list[Row]:
    """Lookups and the bank's list against bare routes of the same answers, in turns."""
    lookups = [lookup(system, f"bench-{number}") for number in range(POPULATION)]
    path = f"/v1/bank/devices/list?page=1&limit={PAGE}"
    lists = [request("GET", path, system.bank)]
    rows = []
    for name, requests in (("lookup", lookups), (f"bank list of {PAGE}", lists)):
        rate = Row(name, "requests/s", "higher")
        cpu = Row(f"{name}: CPU each", "µs", "lower")
        sides = [(rate.rounds.ours, cpu.rounds.ours, system.port, _api_cpu(system))]
        bare_cpu = lambda: cpu_seconds(bare.process)  # noqa: E731
        sides.append((rate.rounds.reference, cpu.rounds.reference, bare.port, bare_cpu))
        for _ in range(rounds):
            sides.reverse()
            for rates, cpus, port, cpu_now in sides:
                before = cpu_now()
                outcome = generator.repeat(port, requests, CONNECTIONS, READ_SECONDS)
                rates.append(outcome.rate)
                cpus.append((cpu_now() - before) / outcome.answers * 1e6)
                step()
        rows += [rate, cpu]
    return rows


def _api_cpu(system: System) -> Callable[[], float]:
    return lambda: system.cpu_seconds("api")


def measure_freshness(
    system: System, generator: Generator, rounds: int, step: Callable[[], None]
) -> list[Row]:
    """From a link's answer to the lookup that shows it, at a steady rate of links."""
    middle = Row(f"answer to lookup at {RATE} links/s, p50", "ms", "lower")
    tail = Row(f"answer to lookup at {RATE} links/s, p99", "ms", "lower", goal=50.0)
    cpus = {part: Row(f"{part} at {RATE} links/s: CPU a link", "µs", "lower") for part in PARTS}
    for number in range(rounds):
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
        (link(system, name), lookup(system, name) if number % FOLLOWED == 0 else b"")
        for number, name in enumerate(names)
    ]


def link(system: System, name: str) -> bytes:
    """The command that links a device of this name to a customer of its own."""
    body = {"customerId": f"customer-{name}", "phrase": f"blue horse {name}", "deviceId": name}
    return request("POST", "/v1/bank/customer/device/link", system.bank, body)


def lookup(system: System, name: str) -> bytes:
    """The merchant's question for a device of this name."""
    return request("POST", "/v1/customer/device/lookup", system.merchant, {"deviceId": name})
