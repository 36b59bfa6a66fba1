"""Kafka away: commands go on up to a bound, then wait for Kafka; by processes, on a real broker."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from device_ledger.wire.topics import ACCESS
from projections.guard import KafkaRecord
from tests.support import events_topic
from tests.support.system import System, link

BOUND = 40


def body(number: int) -> dict[str, str]:
    """A link of a customer's own."""
    names = {"customerId": f"customer-{number}", "phrase": f"phrase {number}"}
    return names | {"deviceId": f"device-{number}"}


class Bank:
    """Links one device after the other, and remembers which were answered 200."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.linked: list[int] = []
        self._number = 0

    async def links(self, name: str = "api") -> AsyncIterator[httpx.Response]:
        """The answers to new links, without an end."""
        async with self.system.client(name) as client:
            while True:
                self._number += 1
                answer = await self.link(client, self._number)
                if answer.status_code == 200:
                    self.linked.append(self._number)
                yield answer

    async def link(self, client: httpx.AsyncClient, number: int) -> httpx.Response:
        """Link with a key of the device's own."""
        headers = self.system.bank() | {"Idempotency-Key": f"key-{number}"}
        return await client.post(
            "/v1/bank/customer/device/link", json=body(number), headers=headers
        )

    async def until(self, status: int) -> httpx.Response:
        """Link until an answer has this status; the others have the other one."""
        async for answer in self.links():
            if answer.status_code == status:
                return answer
            assert answer.status_code in {200, 503}
        raise AssertionError


async def ready(system: System) -> tuple[int, dict[str, Any]]:
    """What the API tells of itself."""
    async with system.client() as client:
        answer = await client.get("/readyz")
    return answer.status_code, answer.json()


async def look_up(system: System, number: int, position: str | None = None) -> httpx.Response:
    """A merchant's lookup."""
    at_least = {"Ledger-Min-Position": position} if position else {}
    async with system.client() as client:
        return await client.post(
            "/v1/customer/device/lookup",
            json={"deviceId": f"device-{number}"},
            headers=system.merchant() | at_least,
        )


@pytest.fixture
def system(tmp_path: Path) -> Any:
    """Everything, with a broker of its own and a small bound."""
    env = {"DEVICE_LEDGER_BACKLOG_EVENTS": str(BOUND)}
    with System(tmp_path, env=env) as found:
        yield found


async def test_commands_wait_for_kafka_beyond_the_bound_and_go_on_by_themselves(
    system: System,
) -> None:
    system.start_all()
    while (await ready(system)) != (200, {"status": "ready", "degraded": [], "down": []}):
        assert system.runs("relay")
    bank = Bank(system)
    async with system.client() as client:
        shown = await link(system, client, 1_000)
    first = await look_up(system, 1_000, shown)
    assert (first.status_code, first.headers["Ledger-Age"].isdigit()) == (200, True)

    system.kill("broker")
    refused = await bank.until(503)
    assert refused.headers["Retry-After"] == "5"
    assert refused.json()["message"].startswith("Too many events are not on Kafka yet")
    assert len(system.stored()) > 2 * len(bank.linked) > 0
    status, told = await ready(system)
    assert (status, {"kafka", "relay"} <= set(told["degraded"])) == (200, True)
    assert told["reasons"]["relay"].endswith(f"{BOUND} may be: commands are refused")

    # What was answered is answered again; reads go on, and tell that they grow old.
    async with system.client() as client:
        again = await bank.link(client, bank.linked[0])
    assert (again.status_code, again.json()["success"]) == (200, True)
    while (old := await look_up(system, 1_000)).headers["Ledger-Age"] in {"0", "1"}:
        assert old.status_code == 200
    assert old.json() == first.json()

    # An API that starts meanwhile learns from the relay's tree what Kafka had.
    system.kill("api")
    system.start("api")
    await bank.until(503)

    system.start("broker")
    accepted = await bank.until(200)
    position = accepted.headers["Ledger-Position"]
    while (last := await look_up(system, bank.linked[-1], position)).status_code == 503:
        assert system.runs("relay")
    found = await asyncio.gather(*(look_up(system, number) for number in bank.linked))
    assert [one.json()["data"]["phrase"] for one in found] == [
        f"phrase {number}" for number in bank.linked
    ]
    assert last.status_code == 200
    while "relay" in (await ready(system))[1]["degraded"]:
        assert system.runs("relay")

    # Metrics also show what no read model can take.
    poison = KafkaRecord(0, 0, b"key", None, ())
    await events_topic.send(system.servers, [poison], ACCESS)
    async with system.client() as client:
        while "device_ledger_dead_letters 1.0" not in (await client.get("/metrics")).text:
            assert system.runs("streams")
    assert [(one["topic"], one["reason"]) for one in system.status()["letters"]] == [
        (ACCESS, "empty value")
    ]
