"""Many commands at once: one winner each, and few transactions."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg

from device_ledger.vault.keys import load_keys
from tests.support.system import System

DEVICES = 200
CALLERS = 8
WAITING = 256
LINKED = "Device linked successfully"
TAKEN = "Device already linked to another customer"


async def post_link(
    system: System, client: httpx.AsyncClient, bank: str, customer: str, device_id: str
) -> tuple[int, str]:
    """Link a device under the customer's own phrase: status and message."""
    answer = await client.post(
        "/v1/bank/customer/device/link",
        json={"customerId": customer, "phrase": f"phrase of {customer}", "deviceId": device_id},
        headers=system.bank(bank),
    )
    return answer.status_code, answer.json()["message"]


async def test_of_eight_callers_that_race_for_a_device_over_two_processes_one_wins(
    kafka: str, postgres_database: str, tmp_path: Path
) -> None:
    with System(tmp_path, kafka, event_store_url=postgres_database) as system:
        system.start("api", "api-2")
        winners: dict[str, str] = {}
        devices = iter(f"device-{number}" for number in range(DEVICES))
        async with system.client("api") as first, system.client("api-2") as second:
            callers = [
                (f"customer-{number}", f"bank-{number // 2 % 2}", (first, second)[number % 2])
                for number in range(CALLERS)
            ]

            async def race() -> None:
                for device_id in devices:
                    answers = await asyncio.gather(
                        *(
                            post_link(system, client, bank, customer, device_id)
                            for customer, bank, client in callers
                        )
                    )
                    assert Counter(answers) == {(200, LINKED): 1, (409, TAKEN): CALLERS - 1}
                    winners[device_id] = callers[answers.index((200, LINKED))][0]

            await asyncio.gather(*(race() for _ in range(4)))
        token = load_keys(system.settings).token
        stored = system.stored()
    assert sorted(
        (one["subject"], one["data"]["customerId"])
        for one in stored
        if one["type"] == "device.linked.v1"
    ) == sorted((token.device(device_id), winner) for device_id, winner in winners.items())
    assert len(winners) == DEVICES
    refused = Counter(one["subject"] for one in stored if one["type"] == "command.refused.v1")
    assert refused == {token.device(device_id): CALLERS - 1 for device_id in winners}


async def test_256_waiting_commands_make_at_most_four_transactions(
    kafka: str, postgres_database: str, tmp_path: Path
) -> None:
    with System(tmp_path, kafka, event_store_url=postgres_database) as system:
        system.start("api")
        async with (
            system.client() as client,
            await psycopg.AsyncConnection.connect(postgres_database) as holder,
        ):
            # Neither read nor written while it is held: what comes meanwhile waits.
            await holder.execute("LOCK TABLE device_ledger_events IN ACCESS EXCLUSIVE MODE")
            posting = [
                asyncio.create_task(
                    post_link(system, client, "bank-1", f"customer-{number}", f"device-{number}")
                )
                for number in range(WAITING)
            ]
            while keys_made(system) < WAITING:
                # Each request makes its customer's key, and is then queued.
                assert (await client.get("/healthz")).status_code == 200
            await holder.commit()
            assert await asyncio.gather(*posting) == [(200, LINKED)] * WAITING
            found = await holder.execute(
                "SELECT count(*), count(DISTINCT originator_id), count(DISTINCT xmin::text)"
                " FROM device_ledger_events WHERE topic = 'device.linked.v1'"
            )
            [(rows, customers, transactions)] = await found.fetchall()
    assert (rows, customers) == (WAITING, WAITING)
    assert transactions <= 4


def keys_made(system: System) -> int:
    """Customers that have a data key in the vault."""
    [file] = (system.home / "vault").glob("*.db")
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as vault:
        [(count,)] = vault.execute("SELECT count(*) FROM data_keys").fetchall()
    return int(count)
