"""What is measured over HTTP: the whole system in a new home, and the bare reference."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from device_ledger.broker import free_port
from device_ledger.cli.child import Child
from device_ledger.issuer import EmbeddedIssuer
from device_ledger.ready import ready_file
from device_ledger.settings import Settings

BANK: Final = "bank-1"
PARTS: Final = ("broker", "api", "relay", "streams")
_PATIENCE: Final = 30.0


class System:
    """A running ``device-ledger up``: its port, tokens for its callers, its processes."""

    def __init__(self, home: Path, port: int) -> None:
        self.port = port
        issuer = EmbeddedIssuer.open(Settings(home=home))
        self.bank = issuer.mint("bank", bank_id=BANK)
        self.merchant = issuer.mint("merchant", merchant_id="merchant-1")
        self._processes = {
            name: psutil.Process(json.loads(ready_file(home, name).read_text())["pid"])
            for name in PARTS
        }

    def cpu_seconds(self, part: str) -> float:
        """CPU time that one of ``PARTS`` has used so far."""
        return cpu_seconds(self._processes[part])

    def memory(self, part: str) -> int:
        """The proportional set size of one of ``PARTS`` and its children, in bytes."""
        process = self._processes[part]
        family = [process, *process.children(recursive=True)]
        return sum(int(one.memory_full_info().pss) for one in family)


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time that a process and its living children have used so far."""
    family = [process, *process.children(recursive=True)]
    return sum(times.user + times.system for times in (one.cpu_times() for one in family))


@contextmanager
def running_system(home: Path) -> Iterator[System]:
    """The system on SQLite and a local broker, as ``make up`` starts it, on free ports.

    Raises:
        ChildEnded: it could not start.
    """
    port = free_port()
    ports = {"DEVICE_LEDGER_PORT": str(port), "DEVICE_LEDGER_BROKER_PORT": str(free_port())}
    up = Child("up", home, {**os.environ, **ports})
    up.start()
    try:
        while not all(ready_file(home, name).exists() for name in PARTS):
            up.check()
            up.wait(0.05)
        yield System(home, port)
    finally:
        up.stop()


@contextmanager
def running_bare() -> Iterator[tuple[int, psutil.Process]]:
    """The bare routes on a free port, and their process."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "bench.bare", str(port)])
    try:
        _wait_for_port(port)
        yield port, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
