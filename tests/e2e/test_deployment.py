"""The circle as it is deployed: three databases with owners of their own, two APIs, two workers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import deployed_databases
from tests.support.published import without_topics
from tests.support.system import System


@pytest.fixture
async def servers(kafka: str) -> str:
    """A Kafka without topics of ours."""
    await without_topics(kafka)
    return kafka


@pytest.fixture
def system(servers: str, postgres: str, tmp_path: Path) -> Iterator[System]:
    """A system on the databases that the deployment's script makes; nothing runs yet."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    with (
        deployed_databases(postgres, secrets) as urls,
        System(
            tmp_path / "home",
            servers,
            event_store_url=urls["events"],
            read_models_url=urls["read_models"],
            vault_url=urls["vault"],
        ) as made,
    ):
        yield made


async def test_owners_of_their_own_databases_are_all_that_the_processes_need(
    system: System,
) -> None:
    system.start("api", "api-2", "relay", "streams", "streams-2")
    body = {"customerId": "customer-1", "phrase": "blue", "deviceId": "phone-1"}
    async with system.client("api") as one, system.client("api-2") as two:
        linked = await one.post(
            "/v1/bank/customer/device/link", json=body, headers=system.bank("bank-01")
        )
        position = {"Ledger-Min-Position": linked.headers["Ledger-Position"]}
        looked_up = await two.post(
            "/v1/customer/device/lookup",
            json={"deviceId": "phone-1"},
            headers=system.merchant() | position,
        )
        while looked_up.status_code == 503:
            looked_up = await two.send(looked_up.request)
    assert looked_up.json()["data"] == {**body, "bankId": "bank-01"}
