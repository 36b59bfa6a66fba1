"""What a released version leaves behind, made by that version itself and kept for ever.

``python -m tests.support.release tests/fixtures/VERSION``, run from the checkout of a release,
makes ``sqlite.tar.xz`` and ``postgresql.tar.xz``: the stores, keys and read models that it wrote
(of PostgreSQL a dump of each database), all records of its topics, and the answers that it gave.
`tests.e2e.test_releases` opens them with today's code.
"""

import asyncio
import base64
import json
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import httpx

from device_ledger.wire.topics import ACCESS, EVENTS
from projections.guard import KafkaRecord
from tests.support.databases import PSQL
from tests.support.events_topic import records_of
from tests.support.kafka import running_kafka
from tests.support.postgres import fresh_database, running_postgres
from tests.support.published import without_topics
from tests.support.system import System

DATABASES: Final = ("events", "read_models", "vault")
KEPT: Final = ("keys", "ledger", "log", "read-models", "vault")
TOPICS: Final = (EVENTS, ACCESS)
CUSTOMERS: Final = 12


async def use(system: System) -> None:
    """Let every kind of event happen, and one customer have more of them than a snapshot takes."""
    async with system.client() as client:
        for number in range(CUSTOMERS):
            await _post(system, client, "link", number, {"phrase": f"phrase {number}"})
        for second in range(100):
            seen = {"seenAt": f"2026-01-31T09:{second // 60:02}:{second % 60:02}Z"}
            await _post(system, client, "login-seen", 0, seen)
        for number in range(4, 8):
            await _post(system, client, "login-seen", number, {"ipAddress": "198.51.100.7"})
        await _post(system, client, "unlink", 1, {"phrase": "phrase 1"})
        await _post(system, client, "deactivate", 2, {})
        taken = {"phrase": "another phrase", "deviceId": "device-4"}
        await _post(system, client, "link", 3, taken)
        body = {"bankId": "bank-1", "customerId": "customer-11", "reason": "case 17"}
        path = "/v1/security/customers/erase"
        answer = await client.post(path, json=body, headers=system.token("lead"))
        assert answer.status_code == 200, answer.text
        await answers(system, answer.headers["Ledger-Position"])


async def _post(
    system: System, client: httpx.AsyncClient, verb: str, number: int, more: dict[str, str]
) -> None:
    body = {"customerId": f"customer-{number}", "deviceId": f"device-{number}"} | more
    path = f"/v1/bank/customer/device/{verb}"
    answer = await client.post(path, json=body, headers=system.bank())
    assert answer.status_code == (409 if "deviceId" in more else 200), answer.text


async def answers(system: System, position: str = "") -> dict[str, Any]:
    """What the system answers whoever looks: merchant, bank and each user."""
    after = {"Ledger-Min-Position": position} if position else {}
    ids = [f"device-{number}" for number in range(CUSTOMERS)]
    async with system.client() as client:
        batch = await client.post(
            "/v1/customer/device/lookup/batch",
            json={"deviceIds": ids},
            headers=system.merchant() | after,
        )
        listed = await client.get("/v1/bank/devices/list", headers=system.bank() | after)
        users = {
            f"customer-{number}": await client.get(
                "/settings/devices", headers=system.user(f"customer-{number}") | after
            )
            for number in range(CUSTOMERS)
        }
        assert {batch.status_code, listed.status_code} == {200}, (batch.text, listed.text)
        assert {one.status_code for one in users.values()} == {200}
        return {
            "lookup": batch.json()["data"],
            "list": listed.json()["data"],
            "users": {name: one.json() for name, one in users.items()},
        }


def written(record: KafkaRecord) -> dict[str, Any]:
    """A record of a topic as JSON has it."""
    return {
        "partition": record.partition,
        "key": _text(record.key),
        "value": _text(record.value),
        "headers": [[name, _text(value)] for name, value in record.headers],
    }


def read(kept: dict[str, Any]) -> KafkaRecord:
    """The record of `written`; its offset is what the topic gives it."""
    headers = tuple((name, _bytes(value) or b"") for name, value in kept["headers"])
    return KafkaRecord(kept["partition"], -1, _bytes(kept["key"]), _bytes(kept["value"]), headers)


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def postgres_tool(name: str, url: str, *words: str) -> None:
    """Run a program of PostgreSQL's on a database."""
    subprocess.run([PSQL / name, *words, f"--dbname={url}"], check=True, capture_output=True)


def make(folder: Path, servers: str, urls: Sequence[str]) -> None:
    """Make the files of one kind of store; ``urls`` are those of `DATABASES`, none for SQLite."""
    events, read_models, vault = urls or ("", "", "")
    home = folder / "home"
    with System(
        home, servers, event_store_url=events, read_models_url=read_models, vault_url=vault
    ) as system:
        system.start("api", "relay", "streams")
        asyncio.run(use(system))
        told = asyncio.run(answers(system))
        topics = {
            name: [written(one) for one in asyncio.run(records_of(servers, name))]
            for name in TOPICS
        }
    (folder / "answers.json").write_text(json.dumps(told, indent=1))
    (folder / "topics.json").write_text(json.dumps(topics, indent=1))
    for name, url in zip(DATABASES, urls, strict=bool(urls)):
        dump = folder / f"{name}.sql"
        postgres_tool("pg_dump", url, "--no-owner", "--no-privileges", f"--file={dump}")
    for database in home.rglob("*.db"):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")


def pack(folder: Path, archive: Path) -> None:
    """Put what is to be kept into one file."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:xz") as tar:
        for name in sorted(path.name for path in folder.iterdir() if path.is_file()):
            tar.add(folder / name, name)
        for name in KEPT:
            if (folder / "home" / name).exists():
                tar.add(folder / "home" / name, f"home/{name}")


def main(target: Path) -> None:
    """Make the files of both kinds of store."""
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(3)]
        servers = stack.enter_context(running_kafka(folders[0]))
        server_url = stack.enter_context(running_postgres())
        urls = [stack.enter_context(fresh_database(server_url)) for _ in DATABASES]
        for name, folder, its_urls in zip(
            ("sqlite", "postgresql"), folders[1:], ([], urls), strict=True
        ):
            asyncio.run(without_topics(servers))
            make(folder, servers, its_urls)
            pack(folder, target / f"{name}.tar.xz")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
