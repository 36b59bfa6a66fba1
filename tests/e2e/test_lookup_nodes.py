"""Lookup nodes as processes, beside the whole circle."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from device_ledger.ready import ready_file
from device_ledger.wire.access import AccessRecord
from device_ledger.wire.topics import EVENTS
from tests.support import events_topic
from tests.support.access_log import on_kafka, once, spooled
from tests.support.databases import deployed_databases
from tests.support.published import without_topics
from tests.support.system import System
from tests.support.system import link as link_by


@pytest.fixture
async def servers(kafka: str) -> str:
    """A Kafka without topics of ours."""
    await without_topics(kafka)
    return kafka


@pytest.fixture
def system(servers: str, tmp_path: Path) -> Iterator[System]:
    """The system on SQLite; nothing runs yet."""
    with System(tmp_path, servers) as made:
        yield made


async def link(system: System, number: int) -> str:
    """Link a customer's device through the API; the position that the answer tells."""
    async with system.client() as client:
        return await link_by(system, client, number)


async def look_up(
    system: System, number: int, position: str = "", node: str = "node"
) -> httpx.Response:
    """The node's answer, asked again while it is behind that position."""
    async with system.client(node) as client:
        while True:
            answer = await client.post(
                "/v1/customer/device/lookup",
                json={"deviceId": f"device-{number}"},
                headers=system.merchant() | ({"Ledger-Min-Position": position} if position else {}),
            )
            if answer.status_code != 503 or not position:
                return answer


def found(number: int) -> dict[str, Any]:
    """What a lookup tells of a device."""
    return {
        "deviceId": f"device-{number}",
        "phrase": f"phrase {number}",
        "customerId": f"customer-{number}",
        "bankId": "bank-1",
    }


async def readiness(system: System) -> tuple[int, dict[str, Any]]:
    """What the node tells of itself."""
    async with system.client("node") as client:
        answer = await client.get("/readyz")
    return answer.status_code, answer.json()


async def until_sent(system: System) -> None:
    """Return once the node has sent what it spooled."""
    while "access-log" in (await readiness(system))[1]["degraded"]:
        assert system.runs("node")


async def test_a_link_at_the_api_is_shown_by_a_node_at_its_position(system: System) -> None:
    system.start("api", "relay", "streams")
    first = await link(system, 1)
    system.start("node")
    assert await readiness(system) == (200, {"status": "ready", "degraded": [], "down": []})
    assert (await look_up(system, 1)).json()["data"] == found(1)
    answer = await look_up(system, 2, await link(system, 2))
    assert answer.json()["data"] == found(2)
    assert answer.headers["Ledger-Position"] != first
    assert (await look_up(system, 3)).status_code == 404
    # The API takes the node's position, too.
    assert (await look_up(system, 2, answer.headers["Ledger-Position"], "api")).status_code == 200
    records = once(await on_kafka(system.servers))
    assert [(one.data["outcome"], one.data["route"]) for one in records] == [
        (outcome, "/v1/customer/device/lookup")
        for outcome in ("found", "found", "not-found", "found")
    ]
    assert len({one.source for one in records}) == 1


async def test_a_node_serves_nothing_else(system: System) -> None:
    system.start("api", "relay")
    await link(system, 1)
    system.start("node")
    async with system.client("node") as client:
        document = (await client.get("/openapi.json")).json()
        assert set(document["paths"]) == {
            "/v1/customer/device/lookup",
            "/v1/customer/device/lookup/batch",
            *("/healthz", "/readyz", "/metrics"),
        }
        for method, path in (
            ("POST", "/v1/bank/customer/device/link"),
            ("GET", "/v1/bank/devices/list"),
            ("GET", "/settings/devices"),
            ("POST", "/v1/security/audit/search"),
        ):
            answer = await client.request(method, path, json={}, headers=system.bank())
            assert answer.status_code == 404
        assert (await client.get("/docs")).status_code == 200
        metrics = (await client.get("/metrics")).text
    assert "device_ledger_lookup_behind_events 0.0" in metrics


async def test_a_killed_node_goes_on_from_its_copy(system: System) -> None:
    system.start("api", "relay")
    await link(system, 1)
    system.start("node")
    copy = (system.home / "node" / "read-models" / "lookup" / "live").read_text()
    system.kill("node")
    position = await link(system, 2)
    system.start("node")
    assert (await look_up(system, 1)).json()["data"] == found(1)
    assert (await look_up(system, 2, position)).json()["data"] == found(2)
    assert (system.home / "node" / "read-models" / "lookup" / "live").read_text() == copy


async def test_before_the_first_event_it_is_ready_and_asks_to_try_again(system: System) -> None:
    system.start("api", "relay", "node")
    assert (await readiness(system))[0] == 200
    answer = await look_up(system, 1)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    position = await link(system, 1)
    assert (await look_up(system, 1, position)).json()["data"] == found(1)


async def test_two_nodes_need_homes_of_their_own(system: System) -> None:
    system.start("api", "relay", "node", "node-2")
    position = await link(system, 1)
    for node in ("node", "node-2"):
        assert (await look_up(system, 1, position, node)).json()["data"] == found(1)
    environment = system.environment | {
        "DEVICE_LEDGER_HOME": str(system.home / "node"),
        "DEVICE_LEDGER_PORT": system.url("node-3").rpartition(":")[2],
    }
    system.environment.update(environment)
    told = await asyncio.to_thread(system.run, "lookup-node", "--beside", str(system.home))
    assert (told.returncode, told.stderr.count(b"\n")) == (1, 1)
    assert b"let DEVICE_LEDGER_HOME name a directory of this node's own" in told.stderr


async def test_without_kafka_it_serves_what_it_has_and_spools(tmp_path: Path) -> None:
    with System(tmp_path) as system:
        system.start("broker", "api", "relay", "node")
        position = await link(system, 1)
        assert (await look_up(system, 1, position)).json()["data"] == found(1)
        system.stop("relay", "broker")
        answers = [await look_up(system, 1) for _ in range(3)]
        assert [one.json().get("data") for one in answers] == [found(1)] * 3
        status, told = await readiness(system)
        assert (status, told["status"]) == (200, "ready")
        assert {"kafka", "access-log"} <= set(told["degraded"])
        assert len(outcomes(spooled(system.home / "node"))) == 3
        # One that begins now can't know what it has missed.
        system.kill("node")
        system.child("node").start()
        while (answer := await asked(system)) is None:
            assert system.child("node").exit_code is None
        assert answer.status_code == 503
        assert not ready_file(system.home / "node", "lookup-node").exists()
        system.start("broker", "relay")
        system.child("node").wait_until_ready()
        position = await link(system, 2)
        assert (await look_up(system, 2, position)).json()["data"] == found(2)
        await until_sent(system)
        assert outcomes(once(await on_kafka(system.servers))) == ["found"] * 5
        system.stop("node")


def outcomes(records: list[AccessRecord]) -> list[str]:
    """What lookups came to."""
    return [one.data["outcome"] for one in records]


async def asked(system: System) -> httpx.Response | None:
    """The node's answer, once it takes connections."""
    try:
        return await look_up(system, 1)
    except httpx.ConnectError:
        return None


async def test_a_topic_that_is_made_anew_changes_nothing_that_is_shown(system: System) -> None:
    system.start("api", "relay", "node")
    for number in range(3):
        position = await link(system, number)
    assert (await look_up(system, 2, position)).json()["data"] == found(2)
    # The relay makes it again, and fills it from the event store.
    await events_topic.remove(system.servers, EVENTS)
    position = await link(system, 3)
    for number in (3, 0, 1, 2):
        assert (await look_up(system, number, position)).json()["data"] == found(number)


async def test_a_role_that_may_only_read_the_vault_is_enough(
    servers: str, postgres: str, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    with deployed_databases(postgres, secrets) as urls:
        reader = urls["vault_reader"]
        with System(
            tmp_path / "home",
            servers,
            event_store_url=urls["events"],
            read_models_url=urls["read_models"],
            vault_url=urls["vault"],
        ) as system:
            system.start("api", "relay")
            await link(system, 1)
            # Only the vault's URL, with SELECT: the node gets no other database.
            system.environment["DEVICE_LEDGER_VAULT_URL"] = reader
            for other in ("EVENT_STORE_URL", "READ_MODELS_URL"):
                system.environment[f"DEVICE_LEDGER_{other}"] = ""
            system.start("node")
            assert (await look_up(system, 1)).json()["data"] == found(1)
            assert (await look_up(system, 2)).status_code == 404
        with psycopg.connect(reader, autocommit=True) as connection:
            for table in ("data_keys", "installation"):
                delete = sql.SQL("DELETE FROM {}").format(sql.Identifier(table))
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(delete)
