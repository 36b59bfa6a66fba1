"""An officer follows a device through the whole system: alert, evidence, replay."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from device_ledger.broker import free_port
from tests.support.system import System

SECURITY = "/v1/security"
COMMANDS = "/v1/bank/customer/device"
FARM = Path("rules/device-farm.yml").read_text()
LONG_AGO = "2026-01-01T00:00:00Z"
FAR_AHEAD = "2099-01-01T00:00:00Z"


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    with System(tmp_path) as made:
        made.start("broker", "api", "relay", "streams", "detector")
        yield made


async def cycle(system: System, client: httpx.AsyncClient) -> None:
    """A phone goes from customer to customer."""
    for number in range(5):
        body = {"customerId": f"customer-{number}", "phrase": f"p {number}", "deviceId": "phone"}
        for verb in ("link", "unlink"):
            answer = await client.post(f"{COMMANDS}/{verb}", json=body, headers=system.bank())
            assert answer.status_code == 200, answer.text


async def next_alert(lines: AsyncIterator[str]) -> dict[str, Any]:
    """The data of the next alert of a stream."""
    async with asyncio.timeout(60):
        name = ""
        async for line in lines:
            field, _, value = line.partition(": ")
            name = value if field == "event" else name
            if field == "data" and name == "alert":
                alert: dict[str, Any] = orjson.loads(value)
                return alert
    raise EOFError


async def until(
    client: httpx.AsyncClient, place: str, officer: dict[str, str], *states: str
) -> dict[str, Any]:
    """A replay, once it is in one of these states; nobody tells of it."""
    async with asyncio.timeout(120):
        while True:
            told: dict[str, Any] = (await client.get(place, headers=officer)).json()
            if told["state"] in states:
                return told
            await asyncio.sleep(0.1)


async def replayed(
    client: httpx.AsyncClient, officer: dict[str, str], **asked: Any
) -> dict[str, Any]:
    """What came of a replay of all time."""
    body = {"from": LONG_AGO, "to": FAR_AHEAD} | asked
    started = await client.post(f"{SECURITY}/replays", json=body, headers=officer)
    assert started.status_code == 202, started.text
    told = await until(client, started.headers["Location"], officer, "done", "failed")
    assert told["state"] == "done", told
    result: dict[str, Any] = told["result"]
    return result


async def test_an_alert_is_followed_from_the_stream_to_its_acknowledgement(system: System) -> None:
    officer = system.token("security", bank_id="bank-1")
    lead = system.token("lead", bank_id="bank-1")
    async with system.client() as client:
        stream = f"{SECURITY}/alerts/stream?rule=device-farm"
        async with client.stream("GET", stream, headers=officer) as following:
            lines = following.aiter_lines()
            await cycle(system, client)
            alert = await next_alert(lines)
            assert (alert["rule"], alert["bankId"]) == ("device-farm", "bank-1")
            place = f"{SECURITY}/alerts/{alert['id']}"
            found = (await client.get(place, headers=officer)).json()
            assert [one["customerId"] for one in found["entries"]] == [
                f"customer-{number}" for number in range(5)
            ]

            # What is younger than a few seconds may still be on its way: a replay leaves it out.
            async with asyncio.timeout(60):
                counts = {"same": 0}
                while counts["same"] == 0:
                    same = await replayed(client, officer, rules=["device-farm"])
                    counts = same["counts"]
            assert (counts, [one["id"] for one in same["alerts"]]) == (
                {"new": 0, "gone": 0, "same": 1},
                [alert["id"]],
            )
            sooner = {"name": "device-farm", "text": FARM.replace("gte: 5", "gte: 4")}
            changed = await replayed(client, officer, ruleFiles=[sooner])
            assert changed["counts"] == {"new": 1, "gone": 1, "same": 0}
            [new] = changed["alerts"]
            assert (new["was"], new["evidenceCount"]) == ("new", 4)
            assert [one["id"] for one in changed["gone"]] == [alert["id"]]

            note = {"note": "the branch's own tablet"}
            told = await client.post(f"{place}/acknowledge", json=note, headers=lead)
            assert told.status_code == 200, told.text
            stranger = system.token("security", bank_id="bank-2")
            assert (await client.get(place, headers=stranger)).status_code == 404

            # A stream is told of the end, and does not hold it up.
            stopping = asyncio.create_task(asyncio.to_thread(system.stop, "api"))
            rest = [line async for line in lines if line.startswith("event")]
            await stopping
            assert (rest, system.child("api").exit_code) == ([], 0)
    system.start("api")
    async with system.client() as client:
        kept = (await client.get(place, headers=officer)).json()["acknowledged"]
        assert kept == told.json()["acknowledged"]
        replays = (await client.get(f"{SECURITY}/replays", headers=officer)).json()["replays"]
        assert {one["state"] for one in replays} == {"done"}


async def test_a_replay_that_a_killed_api_leaves_is_run_again_by_the_next(tmp_path: Path) -> None:
    with System(tmp_path, f"127.0.0.1:{free_port()}") as system:
        officer = system.token("security")
        system.start("api")
        async with system.client() as client:
            body = {"from": LONG_AGO, "to": FAR_AHEAD}
            started = await client.post(f"{SECURITY}/replays", json=body, headers=officer)
            place = started.headers["Location"]
            await until(client, place, officer, "running")
            system.kill("api")
        system.start("api")
        async with system.client() as client:
            told = await until(client, place, officer, "failed")
        [folder] = (tmp_path / "replays").iterdir()
        assert sorted(one.name for one in folder.glob("run-*")) == ["run-1", "run-2"]
        # Without an archive there is nothing to replay, and that is what is told.
        assert told["reason"] == "there is no archive yet: `device-ledger detector` writes it"
