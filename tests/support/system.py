"""The whole system as processes on one home, each to be started, stopped and killed by name."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import SecretStr

from device_ledger.broker import free_port
from device_ledger.cli.child import Child
from device_ledger.issuer import EmbeddedIssuer, Kind
from device_ledger.ledger.ledger import EventStore
from device_ledger.ready import ready_file
from device_ledger.settings import Settings
from device_ledger.trees.names import ensure_log_key
from device_ledger.vault.keys import load_or_create_keys
from tests.support.kafka import BrokerProcess
from tests.support.topic_check import stored_events

PATIENCE = 60.0
"""Seconds that a client waits for an answer; none of the tests asserts it."""


class System:
    """Children by name: ``broker``, ``api``, ``relay``, ``streams``, ``node``, and ``api-2`` and
    so on.

    Without ``servers`` it has a broker of its own, a child as well. URLs are of PostgreSQL, empty
    for SQLite below ``home``. Leaving the block stops whatever runs.
    """

    def __init__(
        self,
        home: Path,
        servers: str = "",
        *,
        event_store_url: str = "",
        read_models_url: str = "",
        vault_url: str = "",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._children: dict[str, Child] = {}
        self._started: dict[str, Child] = {}
        self._ports: dict[str, int] = {}
        if not servers:
            broker = BrokerProcess(home)
            self._children["broker"] = broker
            servers = broker.bootstrap_servers
        self.settings = Settings(
            home=home,
            embedded_issuer=True,
            KAFKA_BOOTSTRAP_SERVERS=servers,
            event_store_url=SecretStr(event_store_url),
            read_models_url=SecretStr(read_models_url),
            vault_url=SecretStr(vault_url),
        )
        self.environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "DEVICE_LEDGER_HOME": str(home),
            "DEVICE_LEDGER_EMBEDDED_ISSUER": "1",
            "DEVICE_LEDGER_EVENT_STORE_URL": event_store_url,
            "DEVICE_LEDGER_READ_MODELS_URL": read_models_url,
            "DEVICE_LEDGER_VAULT_URL": vault_url,
            **(env or {}),
        }
        load_or_create_keys(home)
        ensure_log_key(self.settings)
        self._issuer = EmbeddedIssuer.open(self.settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_all()

    @property
    def home(self) -> Path:
        """Where all local state is."""
        return self.settings.home

    @property
    def servers(self) -> str:
        """``host:port`` of Kafka."""
        return self.settings.brokers

    def child(self, name: str) -> Child:
        """The process of that name, running or not."""
        if name not in self._children:
            self._children[name] = self._made(name)
        return self._children[name]

    def start(self, *names: str) -> None:
        """Start one process after the other, each once the one before serves."""
        for name in names:
            self._started[name] = self.child(name)
            self.child(name).start()
            self.child(name).wait_until_ready()

    def start_all(self) -> None:
        """Start one process of each kind."""
        self.start(*(["broker"] if "broker" in self._children else []), "api", "relay", "streams")

    def stop(self, *names: str) -> None:
        """Stop processes in order, as SIGTERM does, and wait for each."""
        for name in names:
            self.child(name).stop()

    def kill(self, *names: str) -> None:
        """End processes at once, as a power cut would."""
        for name in names:
            self.child(name).kill()

    def runs(self, name: str) -> bool:
        """Whether a process was started and has not ended."""
        return name in self._started and self._started[name].exit_code is None

    def stop_all(self) -> None:
        """Stop whatever runs; what was started first is stopped last."""
        self.stop(*(name for name in reversed(self._started) if self.runs(name)))

    def url(self, name: str = "api") -> str:
        """Base URL of an API process."""
        if name not in self._ports:
            self._ports[name] = free_port()
        return f"http://127.0.0.1:{self._ports[name]}"

    def client(self, name: str = "api") -> httpx.AsyncClient:
        """A client of an API process, patient and without a limit of connections."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx.AsyncClient(base_url=self.url(name), timeout=PATIENCE, limits=limits)

    def token(self, kind: Kind, **names: str) -> dict[str, str]:
        """The Authorization header of a caller of that kind."""
        return {"Authorization": f"Bearer {self._issuer.mint(kind, **names)}"}  # type: ignore[arg-type]

    def bank(self, bank_id: str = "bank-1") -> dict[str, str]:
        """The header of a bank."""
        return self.token("bank", bank_id=bank_id)

    def merchant(self, merchant_id: str = "shop-1") -> dict[str, str]:
        """The header of a merchant."""
        return self.token("merchant", merchant_id=merchant_id)

    def user(self, user_id: str = "customer-1", bank_id: str = "bank-1") -> dict[str, str]:
        """The header of a bank's user."""
        return self.token("user", bank_id=bank_id, user_id=user_id)

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run ``device-ledger …`` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "device_ledger", *words],
            env=self.environment,
            capture_output=True,
            timeout=300,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """What ``device-ledger status --json`` tells."""
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return found

    def stored(self) -> list[dict[str, Any]]:
        """All public events of the event store, in the order of their ids."""
        events = EventStore.open(self.settings)
        try:
            return [json.loads(one.state) for one in stored_events(events)]
        finally:
            events.close()

    def _made(self, name: str) -> Child:
        kind, _, _ = name.partition("-")
        if kind == "api":
            return _Api(name, self.home, self.environment, self.url(name))
        if kind == "node":
            return _Node(name, self.home, self.environment, self.url(name))
        if kind == "streams":
            words = (sys.executable, "-m", "device_ledger", "streams", "--name", name)
            return Child(name, self.home, self.environment, command=words)
        return Child(name, self.home, self.environment)


class _Api(Child):
    """``device-ledger api`` on a port; it tells that it is ready as ``api``, whatever its name."""

    def __init__(self, name: str, home: Path, environment: Mapping[str, str], url: str) -> None:
        port = {"DEVICE_LEDGER_PORT": url.rpartition(":")[2]}
        words = (sys.executable, "-m", "device_ledger", "api")
        super().__init__(name, home, {**environment, **port}, command=words)
        self._ready = ready_file(home, "api")


class _Node(Child):
    """``device-ledger lookup-node`` on a port, in a home of its own below the system's."""

    def __init__(self, name: str, home: Path, environment: Mapping[str, str], url: str) -> None:
        port = {"DEVICE_LEDGER_PORT": url.rpartition(":")[2]}
        words = (sys.executable, "-m", "device_ledger", "lookup-node", "--beside", str(home))
        super().__init__(name, home / name, {**environment, **port}, command=words)
        self._ready = ready_file(home / name, "lookup-node")


async def link(system: System, client: httpx.AsyncClient, number: int) -> str:
    """Link a customer's device; the position that the answer tells."""
    body = {"customerId": f"customer-{number}", "phrase": f"phrase {number}"}
    answer = await client.post(
        "/v1/bank/customer/device/link",
        json=body | {"deviceId": f"device-{number}"},
        headers=system.bank(),
    )
    assert answer.status_code == 200
    position: str = answer.headers["Ledger-Position"]
    return position
