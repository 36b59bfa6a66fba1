"""What is measured over HTTP: the whole system in a new home, and the bare reference."""

import asyncio
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
from device_ledger.vault.keys import load_or_create_keys
from device_ledger.wire.access import DEVICE_LOOKED_UP, decode, split
from device_ledger.wire.topics import ACCESS
from projections.status import look
from tests.support.events_topic import records_of

BANK: Final = "bank-1"
MERCHANTS: Final = 100
PARTS: Final = ("broker", "api", "relay", "streams")
_PATIENCE: Final = 120.0
_SETTLING_SECONDS_MAX: Final = 300.0


class System:
    """A running ``device-ledger up``: its port, tokens for its callers, its processes."""

    def __init__(self, home: Path, port: int, broker_port: int) -> None:
        self.port = port
        self._settings = Settings(home=home, broker_port=broker_port)
        issuer = EmbeddedIssuer.open(self._settings)
        self.bank = issuer.mint("bank", bank_id=BANK)
        self.merchants = [
            issuer.mint("merchant", merchant_id=f"merchant-{number}") for number in range(MERCHANTS)
        ]
        self._issuer = issuer
        self._tokens = load_or_create_keys(home).token
        self._processes = {
            name: psutil.Process(json.loads(ready_file(home, name).read_text())["pid"])
            for name in PARTS
        }

    @property
    def brokers(self) -> str:
        """``host:port`` of Kafka."""
        return self._settings.brokers

    def cpu_seconds(self, part: str) -> float:
        """CPU time that one of ``PARTS`` has used so far."""
        return cpu_seconds(self._processes[part])

    def cpu_seconds_of_answers(self) -> float:
        """CPU time that the parts that answers wait for have used so far."""
        return self.cpu_seconds("api") + self.cpu_seconds("broker")

    def user(self, customer_id: str) -> str:
        """A token of a user of the bank."""
        return self._issuer.mint("user", bank_id=BANK, user_id=customer_id)

    def user_id(self, customer_id: str) -> str:
        """The ID that the user families have for a customer."""
        return self._tokens.user_id(BANK, customer_id)

    def lookups_on_record(self) -> int:
        """How many lookups the access topic tells of, each once."""
        told = asyncio.run(records_of(self._settings.brokers, ACCESS))
        records = (decode(line) for record in told for line in split(record.value or b""))
        return len({one.id for one in records if one.type == DEVICE_LOOKED_UP})

    def settle(self) -> None:
        """Wait until all that was asked is in the read models.

        Else it would take its time from the reference, whose turn is the next.

        Raises:
            TimeoutError: it took more than five minutes.
        """
        deadline = time.monotonic() + _SETTLING_SECONDS_MAX
        while self._behind():
            if time.monotonic() > deadline:
                raise TimeoutError("the read models don't catch up")

    def _behind(self) -> bool:
        """Whether a read model lacks records, or is just being replaced."""
        models = asyncio.run(look(self._settings)).models
        return any(not model.built or any(model.behind.values()) for model in models)

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
    port, broker_port = free_port(), free_port()
    settings = {
        "DEVICE_LEDGER_PORT": str(port),
        "DEVICE_LEDGER_BROKER_PORT": str(broker_port),
        # One bank is every bank here.
        "DEVICE_LEDGER_RATE_COMMANDS": "1000000",
    }
    up = Child("up", home, {**os.environ, **settings})
    up.start()
    try:
        while not all(ready_file(home, name).exists() for name in PARTS):
            up.check()
            up.wait(0.05)
        yield System(home, port, broker_port)
    finally:
        up.stop()


@contextmanager
def running_bare() -> Iterator[tuple[int, psutil.Process]]:
    """The bare routes on a free port, and their process."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "bench.bare", str(port)])
    try:
        wait_for_port(port)
        yield port, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


def wait_for_port(port: int, patience: float = _PATIENCE) -> None:
    """Return once somebody listens there.

    Raises:
        ConnectionRefusedError: nobody did in time.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
