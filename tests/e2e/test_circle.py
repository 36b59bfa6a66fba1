"""The whole circle as processes: what it promises while parts of it are away, race or die."""

from collections.abc import Iterator

import pytest

from tests.conftest import AnyStore
from tests.support.published import without_topics
from tests.support.system import System

LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}


@pytest.fixture
async def servers(kafka: str) -> str:
    await without_topics(kafka)
    return kafka


@pytest.fixture
def system(servers: str, any_store: AnyStore) -> Iterator[System]:
    """The system on SQLite and then on PostgreSQL; nothing runs yet."""
    url = any_store.url
    with System(any_store.home, servers, event_store_url=url, read_models_url=url) as made:
        yield made


async def test_while_the_worker_is_away_commands_are_taken_and_lookups_stay(
    system: System,
) -> None:
    system.start("api", "relay", "streams")
    bank, merchant = system.bank(), system.merchant()
    async with system.client() as client:

        async def link(device_id: str) -> str:
            body = LINK | {"deviceId": device_id}
            answer = await client.post("/v1/bank/customer/device/link", json=body, headers=bank)
            assert answer.status_code == 200
            return answer.headers["Ledger-Position"]

        async def look_up(device_id: str, position: str = "") -> tuple[int, str | None]:
            seen = {"Ledger-Min-Position": position} if position else {}
            answer = await client.post(
                "/v1/customer/device/lookup",
                json={"deviceId": device_id},
                headers=merchant | seen,
            )
            return answer.status_code, answer.headers.get("Retry-After")

        assert await look_up("device-1", await link("device-1")) == (200, None)
        system.stop("streams")
        position = await link("device-2")
        assert await look_up("device-2") == (404, None)
        assert await look_up("device-2", position) == (503, "1")
        assert await look_up("device-1") == (200, None)
        system.start("streams")
        assert await look_up("device-2", position) == (200, None)
