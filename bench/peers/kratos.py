"""Ory Kratos on SQLite: whoami, and the list of a user's sessions."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil

from bench.peers import installed
from bench.report import VoidRunError, note_version
from bench.system import cpu_seconds, wait_for_port
from device_ledger.broker import free_port

CONFIG: Final = Path(__file__).with_name("kratos.yml")
_PASSWORD: Final = "only-for-the-benchmark-0815"
_SCHEMA: Final = {
    "$id": "urn:device-ledger:bench:user",
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "traits": {
            "type": "object",
            "properties": {
                "email": {
                    "type": "string",
                    "ory.sh/kratos": {"credentials": {"password": {"identifier": True}}},
                }
            },
        }
    },
}


@dataclass(frozen=True)
class Kratos:
    """A running one."""

    port: int
    process: psutil.Process
    client: httpx.Client
    admin: httpx.Client

    def cpu_seconds(self) -> float:
        """CPU time that it has used so far."""
        return cpu_seconds(self.process)

    def whoamis(self, count: int) -> list[bytes]:
        """The questions of as many users whose session a token is."""
        return [
            _asked("/sessions/whoami", self._logged_in(f"user-{number}@example.org", 1))
            for number in range(count)
        ]

    def sessions(self, count: int) -> bytes:
        """The question of a user who is logged in so often, and once more, for the others.

        Raises:
            VoidRunError: its answer has another number of sessions.
        """
        path = f"/sessions?per_page={count}"
        token = self._logged_in(f"user-with-{count}@example.org", count + 1)
        found = len(self.client.get(path, headers={"X-Session-Token": token}).json())
        if found != count:
            raise VoidRunError(f"Kratos lists {found} sessions of {count}")
        return _asked(path, token)

    def _logged_in(self, user: str, times: int) -> str:
        identity = {
            "schema_id": "user",
            "traits": {"email": user},
            "credentials": {"password": {"config": {"password": _PASSWORD}}},
        }
        self.admin.post("/admin/identities", json=identity).raise_for_status()
        form = {"method": "password", "identifier": user, "password": _PASSWORD}
        for _ in range(times):
            flow = self.client.get("/self-service/login/api").raise_for_status().json()["id"]
            done = self.client.post(f"/self-service/login?flow={flow}", json=form)
            token = str(done.raise_for_status().json()["session_token"])
        return token


@contextmanager
def running_kratos(home: Path) -> Iterator[Kratos]:
    """Start it on a new SQLite file below ``home``.

    Raises:
        MissingPeerError: it is not installed.
    """
    program = installed("kratos", "kratos.sh")
    home.mkdir()
    port, admin_port = free_port(), free_port()
    schema = base64.b64encode(json.dumps(_SCHEMA).encode()).decode()
    environment = {
        **os.environ,
        "DSN": f"sqlite://{home}/kratos.sqlite?_fk=true&mode=rwc",
        "SERVE_PUBLIC_PORT": str(port),
        "SERVE_ADMIN_PORT": str(admin_port),
        "IDENTITY_SCHEMAS": json.dumps([{"id": "user", "url": f"base64://{schema}"}]),
    }
    config = ("--config", str(CONFIG))
    with (home / "log").open("wb") as log:
        migrate = [str(program), "migrate", "sql", "--read-from-env", "--yes", *config]
        subprocess.run(migrate, env=environment, stdout=log, stderr=log, check=True)
        server = subprocess.Popen(
            [str(program), "serve", *config], env=environment, stdout=log, stderr=log
        )
    try:
        for each in (port, admin_port):
            wait_for_port(each)
        told = subprocess.run([str(program), "version"], capture_output=True, text=True, check=True)
        note_version("kratos", told.stdout.split()[1])
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
            httpx.Client(base_url=f"http://127.0.0.1:{admin_port}", timeout=60) as admin,
        ):
            yield Kratos(port, psutil.Process(server.pid), client, admin)
    finally:
        server.terminate()
        server.wait()


def _asked(path: str, token: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"X-Session-Token: {token}"]
    return "\r\n".join([*lines, "Accept: application/json", "", ""]).encode()
