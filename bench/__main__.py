"""``python -m bench [--full] [CASE…]``: these cases, else the quick ones, with --full all; each is
written to ``bench/results.json`` and ``docs/benchmarks.md`` once it is measured."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench import circle, detection, links, nodes, reads, rebuild, sizes, start, table
from bench.load import UnexpectedAnswerError
from bench.peers import MissingPeerError
from bench.report import Begin, Row, Step, VoidRunError, record
from device_ledger.cli.child import ChildEnded

Measure = Callable[[Begin, Step, bool], list[Row]]

CASES: Final[Mapping[str, Measure]] = {
    "reads": reads.measure,
    "freshness": circle.measure,
    "commands": links.measure,
    "detection": detection.measure,
    "nodes": nodes.measure,
    "rebuild": rebuild.measure,
    "sizes": sizes.measure,
    "start": start.measure,
}

QUICK: Final = ("reads", "freshness", "commands", "rebuild")
"""What a run measures that names no case and isn't full."""


def main() -> None:
    """Measure, with progress on stderr. Stopped, it leaves nothing running."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--full", action="store_true", help="with peers and large sizes")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.cases) - set(CASES)):
        parser.error(f"no case {', '.join(unknown)}: there are {', '.join(CASES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for name in list(os.environ):
        if name.startswith(("DEVICE_LEDGER_", "KAFKA_")) and "_TEST_" not in name:
            del os.environ[name]
    for name in asked.cases or (CASES if asked.full else QUICK):
        rows = _measured(name, full=asked.full)
        record(name, rows, full=asked.full)
        table.show(rows)
        table.write_results()


def _measured(name: str, *, full: bool) -> list[Row]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}, turn {task.completed}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=None)

        def begin(what: str) -> None:
            progress.update(task, description=f"{name}: {what}")

        return CASES[name](begin, lambda: progress.advance(task), full)


if __name__ == "__main__":
    try:
        main()
    except (ChildEnded, MissingPeerError, UnexpectedAnswerError, VoidRunError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
