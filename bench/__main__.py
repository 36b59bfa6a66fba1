"""``python -m bench [ledger] [detection]``: these cases or all, tables on stdout, and
``bench/results.json``."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psycopg
from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench import circle, detection, links, report
from bench.load import Generator, UnexpectedAnswerError
from bench.system import running_bare, running_system
from device_ledger.cli.child import ChildEnded
from device_ledger.settings import Settings
from tests.support.postgres import fresh_database, running_postgres

ROUNDS: Final = 5
TURNS: Final = 1 + 2 * 2 * ROUNDS + ROUNDS + 2 * 2 * ROUNDS
CASES: Final = ("ledger", "detection")


def main() -> None:
    """Measure, with a progress bar on stderr. Stopped, it leaves nothing running."""
    cases = sys.argv[1:] or CASES
    if not set(cases) <= set(CASES):
        sys.exit(f"bench: the cases are {' and '.join(CASES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for name in list(os.environ):
        if name.startswith(("DEVICE_LEDGER_", "KAFKA_")) and "_TEST_" not in name:
            del os.environ[name]
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="device-ledger-bench-")))
        progress = stack.enter_context(Progress(*columns, console=Console(stderr=True)))
        turns = {"ledger": TURNS, "detection": 2 + len(detection.rules())}
        task = progress.add_task("", total=sum(turns[case] for case in cases))

        def begin(what: str) -> None:
            progress.update(task, description=what)

        def step() -> None:
            progress.advance(task)

        if "ledger" in cases:
            rows, postgres = _measure_links(home, begin, step)
            rows = _measure_circle(home, begin, step) + rows
        if "detection" in cases:
            replays, verdicts = detection.measure(begin, step)
    if "ledger" in cases:
        report.write(rows, postgres)
    if "detection" in cases:
        report.write_detection(replays, verdicts)


Begin = Callable[[str], None]
Step = Callable[[], None]


def _measure_links(home: Path, begin: Begin, step: Step) -> tuple[list[report.Row], str]:
    begin("link commands on SQLite")
    ours, reference = Settings(home=home / "ours"), Settings(home=home / "reference")
    rows = links.measure(links.Case("SQLite", ours, reference, None), ROUNDS, step)
    begin("link commands on PostgreSQL")
    with running_postgres("-c max_connections=50") as server, ExitStack() as stack:
        ours, reference = (
            Settings(home=home, event_store_url=SecretStr(stack.enter_context(database)))
            for database in (fresh_database(server), fresh_database(server))
        )
        pid, version = _about(server)
        rows += links.measure(links.Case("PostgreSQL", ours, reference, pid), ROUNDS, step)
    return rows, version


def _about(server: str) -> tuple[int | None, str]:
    """The server's process where it runs on this machine, and its version."""
    with psycopg.connect(server) as connection:
        row = connection.execute(
            "SELECT current_setting('data_directory'), current_setting('server_version')"
        ).fetchone()
    assert row is not None
    pid_file = Path(row[0], "postmaster.pid")
    return (int(pid_file.read_text().split()[0]) if pid_file.exists() else None), row[1]


def _measure_circle(home: Path, begin: Begin, step: Step) -> list[report.Row]:
    begin("starting the system")
    with ExitStack() as stack:
        system = stack.enter_context(running_system(home / "system"))
        bare = circle.Bare(*stack.enter_context(running_bare()))
        generator = Generator()
        stack.callback(generator.close)
        begin(f"linking {circle.POPULATION:,} devices")
        circle.populate(system, generator)
        step()
        begin("from a command's answer to its lookup")
        freshness = circle.measure_freshness(system, generator, ROUNDS, step)
        begin("reads")
        return circle.measure_reads(system, bare, generator, ROUNDS, step) + freshness


if __name__ == "__main__":
    try:
        main()
    except (ChildEnded, UnexpectedAnswerError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
