"""History is rewritten in a running system: the witness tells, an alert is raised, it is named."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from device_ledger.ledger.ledger import EventStore
from device_ledger.proofs import sign_checkpoint
from device_ledger.wire.topics import CHECKPOINTS
from tests.support.logs import signed_up_to, signer
from tests.support.system import System


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    with System(tmp_path) as made:
        made.start("broker", "api", "relay", "streams", "detector")
        yield made


async def link(system: System, client: httpx.AsyncClient, numbers: range) -> None:
    """Link devices: two events each."""
    for number in numbers:
        body = {"customerId": f"c-{number}", "phrase": f"p {number}", "deviceId": f"d-{number}"}
        answer = await client.post(
            "/v1/bank/customer/device/link", json=body, headers=system.bank()
        )
        assert answer.status_code == 200, answer.text


async def tampering(system: System, client: httpx.AsyncClient) -> dict[str, Any]:
    """The alert, once there is one."""
    query, officer = {"rule": "tampering"}, system.token("security")
    async with asyncio.timeout(120):
        while True:
            told = await client.get("/v1/security/alerts", params=query, headers=officer)
            if told.status_code == 200 and (alerts := told.json()["alerts"]):
                found: dict[str, Any] = alerts[0]
                return found
            await asyncio.sleep(0.2)


async def test_a_forged_checkpoint_raises_an_alert_and_a_rewritten_event_is_named(
    system: System,
) -> None:
    events = EventStore.open(system.settings)
    key = signer(system.settings, events)
    events.close()
    async with system.client() as client:
        await link(system, client, range(200))
        [*_, last] = await signed_up_to(system.servers, key, 400)
        # Somebody has the key, and tells another history by it.
        forged = replace(last, size=401, root=bytes(32))
        async with AIOKafkaProducer(bootstrap_servers=system.servers) as producer:
            note = sign_checkpoint(forged, [key]).encode()
            await producer.send_and_wait(CHECKPOINTS, note, key=b"events", partition=0)
        alert = await tampering(system, client)
        place = f"/v1/security/alerts/{alert['id']}"
        told = await client.get(place, headers=system.token("security"))
    [entry] = told.json()["entries"]
    assert (entry["outcome"], entry["code"], entry["about"]) == (
        "refused",
        "root-differs",
        "events/401",
    )
    system.stop("detector", "streams", "relay", "api")
    assert system.run("verify", "--source", "store").returncode == 0
    with closing(sqlite3.connect(system.home / "ledger" / "events.db")) as database:
        [[event_id]] = database.execute(
            "SELECT rowid FROM stored_events WHERE topic = 'device.linked.v1' LIMIT 1 OFFSET 20"
        ).fetchall()
        database.execute(
            "UPDATE stored_events SET state = CAST(replace(state, 'bank-1', 'bank-2') AS BLOB)"
            " WHERE rowid = ?",
            (event_id,),
        )
        database.commit()
    done = system.run("verify", "--source", "store")
    assert (done.returncode, done.stderr.decode().splitlines()[-1]) == (
        1,
        f"device-ledger: event {event_id} is not what was signed: its bytes were changed",
    )
    assert system.run("verify", "--source", "topic").returncode == 0
