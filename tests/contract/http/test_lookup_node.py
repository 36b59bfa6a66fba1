"""A lookup node before it has anything to answer from."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from api.node import Place, create_node
from device_ledger.broker import free_port
from device_ledger.keyfile import KeyLoadingError
from device_ledger.ledger.stores import StoreRefusedError
from device_ledger.settings import Settings
from device_ledger.vault.keys import load_or_create_keys
from projections.sqlite_store import SqliteStore


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Beside an installation that has its keys; there is no Kafka, and no vault yet."""
    beside = Settings(home=tmp_path / "installation")
    load_or_create_keys(beside.home)
    brokers = f"127.0.0.1:{free_port()}"
    own = Settings(home=tmp_path / "node", embedded_issuer=True, KAFKA_BOOTSTRAP_SERVERS=brokers)
    return Place(own, beside)


def fail(error: Exception) -> None:
    """Nothing is to fail."""
    raise error


@pytest.fixture
async def client(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a node that waits."""
    app = create_node(place, lambda: fail(AssertionError("it is not ready")), fail)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://node.test") as client,
    ):
        yield client


async def test_it_is_alive_and_not_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).status_code == 200
    told = await client.get("/readyz")
    reasons = {
        "lookup": "NotReadyError",
        "events": "not compared with the topic for 10 s or more",
        "kafka": "no broker takes connections",
        "vault": "it isn't there",
    }
    degraded = ["events", "kafka", "vault"]
    assert (told.status_code, told.json()) == (
        503,
        {"status": "down", "down": ["lookup"], "degraded": degraded, "reasons": reasons},
    )
    assert (await client.get("/metrics")).status_code == 200
    assert (await client.get("/openapi.json")).status_code == 200


@pytest.mark.parametrize("path", ["lookup", "lookup/batch"])
async def test_lookups_are_asked_to_come_again(client: httpx.AsyncClient, path: str) -> None:
    told = await client.post(f"/v1/customer/device/{path}", json={})
    assert (told.status_code, told.headers["Retry-After"]) == (503, "1")
    assert told.json() == {
        "statusCode": 503,
        "success": False,
        "message": "The service is not available right now; try again",
    }
    assert "X-Request-ID" in told.headers


async def test_no_other_familys_route_is_there(client: httpx.AsyncClient) -> None:
    for path in ("/v1/bank/customer/device/link", "/settings/devices", "/v1/security/alerts"):
        assert (await client.post(path, json={})).status_code == 404


def test_it_makes_no_key(tmp_path: Path) -> None:
    nowhere = Settings(home=tmp_path, embedded_issuer=True)
    with pytest.raises(KeyLoadingError, match="no master key"):
        create_node(Place(nowhere, nowhere), lambda: None, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_anothers_is_refused(place: Place) -> None:
    with (
        SqliteStore(place.own.home / "read-models").writing(),
        pytest.raises(StoreRefusedError, match="a directory of this node's own"),
    ):
        create_node(place, lambda: None, fail)
