"""Keycloak with this project's realm: introspection of tokens, and a user's sessions."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx
import psutil

from bench.load import request
from bench.peers import installed
from bench.report import VoidRunError, note_version
from bench.system import cpu_seconds, wait_for_port
from device_ledger.broker import free_port

REALM: Final = Path(__file__).parents[2] / "deploy" / "keycloak" / "realm.json"
_SECRET: Final = "only-for-the-benchmark"
_NAMES: Final = ("BANK_CLIENT_SECRET", "MERCHANT_CLIENT_SECRET", "USER_PASSWORD")
_PATH: Final = "/realms/device-ledger"
_ONLINE: Final = "bank-01-online"
_BANK: Final = "bank-01-backend"
_PATIENCE: Final = 900.0
_LIFE_SECONDS: Final = 36_000


@dataclass(frozen=True)
class Keycloak:
    """A running one and its database server."""

    port: int
    process: psutil.Process
    database: psutil.Process
    client: httpx.Client

    def cpu_seconds(self) -> float:
        """CPU time that both have used so far."""
        return cpu_seconds(self.process) + cpu_seconds(self.database)

    def introspections(self, count: int) -> list[bytes]:
        """A bank's questions for as many tokens of a merchant.

        Raises:
            VoidRunError: a token is not known.
        """
        tokens = [
            self._token(grant_type="client_credentials", client_id="merchant-001")
            for _ in range(count)
        ]
        path = "/protocol/openid-connect/token/introspect"
        told = self.client.post(path, data={"token": tokens[0]}, auth=(_BANK, _SECRET)).json()
        if not told["active"]:
            raise VoidRunError("Keycloak doesn't know its own token")
        basic = base64.b64encode(f"{_BANK}:{_SECRET}".encode()).decode()
        return [_form(_PATH + path, basic, token) for token in tokens]

    def sessions(self, count: int) -> bytes:
        """The question of a user who is logged in so often for the own sessions.

        Raises:
            VoidRunError: its answer has another number of sessions.
        """
        asked = {"client_id": _ONLINE, "username": f"user-{count}", "password": _SECRET}
        for _ in range(count):
            token = self._token(grant_type="password", **asked)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        devices = self.client.get("/account/sessions/devices", headers=headers).json()
        found = sum(len(device["sessions"]) for device in devices)
        if found != count:
            raise VoidRunError(f"Keycloak lists {found} sessions of {count}")
        return request(
            "GET", f"{_PATH}/account/sessions/devices", token, headers=["Accept: application/json"]
        )

    def _token(self, **asked: str) -> str:
        secret = {} if asked["client_id"] == _ONLINE else {"client_secret": _SECRET}
        answer = self.client.post("/protocol/openid-connect/token", data=asked | secret)
        if answer.is_error:
            raise VoidRunError(f"Keycloak gives no token: {answer.status_code} {answer.text}")
        return str(answer.json()["access_token"])


@contextmanager
def running_keycloak(
    database_url: str, database: psutil.Process, log: Path, counts: Sequence[int]
) -> Iterator[Keycloak]:
    """Start it as for production, on a PostgreSQL of its own, with users for so many sessions.

    Raises:
        MissingPeerError: it is not installed.
    """
    home = installed("keycloak", "keycloak.sh")
    realm = home / "data" / "import" / "realm.json"
    realm.parent.mkdir(parents=True, exist_ok=True)
    realm.write_text(json.dumps(_realm(counts)))
    port = free_port()
    command = ["bash", str(home / "bin" / "kc.sh"), "start", "--optimized", "--import-realm"]
    environment = {**os.environ, **_environment(port, database_url)}
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        wait_for_port(port, _PATIENCE)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}{_PATH}", timeout=60) as client:
            client.get("").raise_for_status()
            note_version("keycloak", (home / "version.txt").read_text().split()[-1])
            yield Keycloak(port, psutil.Process(server.pid), database, client)
    finally:
        server.terminate()
        server.wait()


def _environment(port: int, database_url: str) -> dict[str, str]:
    database = urlsplit(database_url)
    return {
        "KC_CACHE": "local",
        "KC_DB_URL": f"jdbc:postgresql://{database.hostname}:{database.port}{database.path}",
        "KC_DB_USERNAME": database.username or "",
        "KC_DB_PASSWORD": database.password or "",
        "KC_HOSTNAME": f"http://127.0.0.1:{port}",
        "KC_HTTP_ENABLED": "true",
        "KC_HTTP_HOST": "127.0.0.1",
        "KC_HTTP_PORT": str(port),
        **dict.fromkeys(_NAMES, _SECRET),
    }


def _realm(counts: Sequence[int]) -> dict[str, Any]:
    """The realm of the deployment, with tokens that outlive a run, cheap passwords (their hashing
    is not what is measured), logins in a row, and the account's own API for a bank's users.
    """
    realm: dict[str, Any] = json.loads(REALM.read_text())
    lives = ("accessTokenLifespan", "ssoSessionIdleTimeout", "ssoSessionMaxLifespan")
    realm |= dict.fromkeys(lives, _LIFE_SECONDS)
    realm["bruteForceProtected"] = False
    realm["passwordPolicy"] = "hashAlgorithm(pbkdf2-sha256) and hashIterations(1)"
    [online] = [client for client in realm["clients"] if client["clientId"] == _ONLINE]
    online["protocolMappers"] += [
        _mapper("oidc-audience-mapper", {"included.client.audience": "account"}),
        _mapper(
            "oidc-usermodel-client-role-mapper",
            {
                "usermodel.clientRoleMapping.clientId": "account",
                "claim.name": "resource_access.${client_id}.roles",
                "jsonType.label": "String",
                "multivalued": "true",
            },
        ),
    ]
    # Whoever asks for a token must be in its audience.
    [merchant] = [client for client in realm["clients"] if client["clientId"] == "merchant-001"]
    merchant["protocolMappers"] += [
        _mapper("oidc-audience-mapper", {"included.client.audience": _BANK})
    ]
    [anna] = [user for user in realm["users"] if user["username"] == "anna"]
    anna["clientRoles"] = {"account": ["manage-account", "view-profile"]}
    like = {key: anna[key] for key in anna if key != "id"}
    for count in counts:
        name = f"user-{count}"
        realm["users"].append(like | {"username": name, "email": f"{name}@example.org"})
    return realm


def _mapper(kind: str, config: dict[str, str]) -> dict[str, object]:
    return {
        "name": f"benchmark {kind}",
        "protocol": "openid-connect",
        "protocolMapper": kind,
        "config": {"access.token.claim": "true"} | config,
    }


def _form(path: str, basic: str, token: str) -> bytes:
    content = urlencode({"token": token}).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Basic {basic}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(content)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content
