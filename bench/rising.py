"""How long a lookup takes while more and more of them come, whatever is answered."""

from pathlib import Path
from statistics import median, quantiles
from typing import Final

from bench import plot
from bench.load import Generator
from bench.report import Row, Step
from bench.system import System

PLOT: Final = Path(__file__).parents[1] / "docs" / "reads.svg"
ROUNDS: Final = 5
SECONDS: Final = 4.0
RATES: Final = (50, 100, 200, 500, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 7_000, 10_000)
PERCENTILES: Final = (50, 90, 99)
SHARE_MAX: Final = 0.9
"""Of what the system does at most: beyond it a queue grows for as long as one measures."""


def measure(
    system: System, generator: Generator, lookups: list[bytes], limit: float, step: Step
) -> tuple[list[Row], int]:
    """Rows of percentiles, and how many lookups were sent; the plot is written into the docs.

    ``limit`` is what the system does at most, lookups/s.
    """
    rates = [rate for rate in RATES if rate <= limit * SHARE_MAX]
    rows = {
        (rate, percent): Row(f"lookup at {rate:,}/s, p{percent}", "ms", "lower")
        for rate in rates
        for percent in PERCENTILES
    }
    sent = 0
    for _ in range(ROUNDS):
        for rate in rates:
            outcome = generator.at_rate(system.port, lookups, rate, SECONDS)
            sent += outcome.answers
            shares = quantiles(outcome.latencies_ms, n=100)
            for percent in PERCENTILES:
                rows[rate, percent].rounds.ours.append(shares[percent - 1])
            system.settle()
            step()
    lines = {
        f"p{percent}": [(rate, median(rows[rate, percent].rounds.ours)) for rate in rates]
        for percent in PERCENTILES
    }
    title = "Lookup: latency from the moment that it was due, medians of rounds"
    plot.write_plot(PLOT, title, "lookups/s that come", "ms", lines)
    return list(rows.values()), sent
