"""Link commands into the ledger: group commit against one save a command, on both stores.

Each writer is a process of its own that keeps 256 commands waiting, as an API under load does.
Every command links a new device to a new customer: two aggregates' events and two claims.
"""

import multiprocessing
import os
import tempfile
import threading
import time
import uuid
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import psycopg
from pydantic import SecretStr

from bench.report import Begin, Row, Step, note_version
from device_ledger.domain.customer.command import Context, Device
from device_ledger.domain.customer.link import LinkDevice
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.ledger.group_commit import BATCH_MAX
from device_ledger.ledger.ledger import Ledger, utc_now
from device_ledger.ledger.receipts import Answer, Receipt
from device_ledger.settings import Settings
from device_ledger.vault.encoding import to_text
from tests.support.postgres import fresh_database, running_postgres

ROUNDS: Final = 5
WAITING: Final = 256
COMMANDS: Final = 3_000
"""Of each side and round: what a command costs grows with what its ledger holds already."""
GOAL: Final = 4.0


@dataclass(frozen=True)
class Written:
    """Commands a second, and CPU microseconds a command of the writer and its database server."""

    rate: float
    cpu_us: float


@dataclass(frozen=True)
class Case:
    """A ledger of ours and one for the reference on stores of one kind.

    ``server_pid`` is the database server's process where it runs here.
    """

    store: str
    ours: Settings
    reference: Settings
    server_pid: int | None


def measure(begin: Begin, step: Step, full: bool) -> list[Row]:  # noqa: ARG001
    """Both stores, one after the other."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="device-ledger-bench-")))
        begin("SQLite")
        ours, reference = Settings(home=home / "ours"), Settings(home=home / "reference")
        rows = _measure_store(Case("SQLite", ours, reference, None), step)
        begin("PostgreSQL")
        server = stack.enter_context(running_postgres("-c max_connections=50"))
        ours, reference = (
            Settings(home=home, event_store_url=SecretStr(stack.enter_context(database)))
            for database in (fresh_database(server), fresh_database(server))
        )
        pid, version = about(server)
        note_version("postgresql", version)
        return rows + _measure_store(Case("PostgreSQL", ours, reference, pid), step)


def about(server: str) -> tuple[int | None, str]:
    """The server's process where it runs on this machine, and its version."""
    with psycopg.connect(server) as connection:
        row = connection.execute(
            "SELECT current_setting('data_directory'), current_setting('server_version')"
        ).fetchone()
    assert row is not None
    pid_file = Path(row[0], "postmaster.pid")
    return (int(pid_file.read_text().split()[0]) if pid_file.exists() else None), row[1]


def _measure_store(case: Case, step: Step) -> list[Row]:
    """Write to both ledgers in turns."""
    rate = Row(f"link commands, {case.store}", "commands/s", "higher", GOAL)
    cpu = Row(f"link commands, {case.store}: CPU each", "µs", "lower")
    sides = [
        (rate.rounds.ours, cpu.rounds.ours, case.ours, BATCH_MAX),
        (rate.rounds.reference, cpu.rounds.reference, case.reference, 1),
    ]
    spawn = multiprocessing.get_context("spawn")
    for _ in range(ROUNDS):
        sides.reverse()
        for rates, cpus, settings, batch_max in sides:
            with ProcessPoolExecutor(1, mp_context=spawn) as process:
                turn = process.submit(write, settings, COMMANDS, batch_max, case.server_pid)
                written = turn.result()
            rates.append(written.rate)
            cpus.append(written.cpu_us)
            step()
    return [rate, cpu]


def write(settings: Settings, count: int, batch_max: int, server_pid: int | None) -> Written:
    """Link so many devices, saving at most ``batch_max`` commands at once."""
    ledger = Ledger.open(settings, batch_max=batch_max)
    _drive(ledger, WAITING)
    cpu_before, begun = _cpu_seconds(server_pid), time.perf_counter()
    _drive(ledger, count)
    seconds = time.perf_counter() - begun
    cpu = _cpu_seconds(server_pid) - cpu_before
    ledger.close()
    return Written(count / seconds, cpu / count * 1e6)


def _drive(ledger: Ledger, count: int) -> None:
    commands = [new_link() for _ in range(count)]
    free = threading.Semaphore(WAITING)

    def done(future: Future[Answer]) -> None:
        assert future.result().status == "done"
        free.release()

    for command in commands:
        free.acquire()
        ledger.submit(command, Receipt(command.device.token, "", keyed=False)).add_done_callback(
            done
        )
    for _ in range(WAITING):
        free.acquire()


def new_link() -> LinkDevice:
    """A new device of a new customer, linked as the API does: tokens and seals of real lengths."""
    return LinkDevice(
        customer=CustomerRef("bank-1", str(uuid.uuid4()), f"customer-{uuid.uuid4()}"),
        context=Context("bank-1-backend", "core", str(uuid.uuid4()), utc_now()),
        device=Device(to_text(os.urandom(32)), to_text(os.urandom(65)), 1, str(uuid.uuid4())),
        phrase_token=to_text(os.urandom(32)),
        sealed_phrase=to_text(os.urandom(60)),
        max_active_devices=500,
    )


def _cpu_seconds(server_pid: int | None) -> float:
    processes = [psutil.Process()]
    if server_pid is not None:
        server = psutil.Process(server_pid)
        processes += [server, *server.children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)
