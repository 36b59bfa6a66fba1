"""Banks race for devices over two API processes, one of which is killed: each device's history is
that of one register, lookups with a position included."""

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx

from tests.support.linearizability import DONE, REFUSED, UNKNOWN, History, Kind, is_linearizable
from tests.support.postgres import fresh_database
from tests.support.system import System

COMMANDS = "/v1/bank/customer/device"
DEVICES = tuple(f"device-{number}" for number in range(4))
BANKS = ("bank-1", "bank-2", "bank-3")
PROCESSES = ("api", "api-2")
COMMAND_KINDS: tuple[Kind, ...] = ("link", "unlink")
ROUNDS = 25
SEED = 4952


class Racers:
    """Banks that link and unlink, merchants that look up, and the history of it all."""

    def __init__(self, system: System, clients: dict[str, httpx.AsyncClient]) -> None:
        self._system = system
        self._clients = clients
        self._chance = random.Random(SEED)
        self._many = asyncio.Event()
        self.history = History()

    async def bank(self, bank: str, customer: str) -> None:
        """Link and unlink devices for one customer, at either process."""
        who = f"{bank}/{customer}"
        body = {"customerId": customer, "phrase": f"phrase of {customer}"}
        for _ in range(ROUNDS):
            device, kind = self._chance.choice(DEVICES), self._chance.choice(COMMAND_KINDS)
            with self.history.recording(device, kind, who) as told:
                answer = await self._post(f"{COMMANDS}/{kind}", body | {"deviceId": device}, bank)
                if answer is not None and answer.status_code in {200, 404, 409}:
                    told(DONE if answer.status_code == 200 else REFUSED)

    async def merchant(self) -> None:
        """Look devices up as they are at least when the lookup began."""
        for number in range(ROUNDS):
            if number == ROUNDS // 3:
                self._many.set()
            device = self._chance.choice(DEVICES)
            with self.history.recording(device, "lookup") as told:
                answer = await self._lookup(device)
                if answer is not None and answer.status_code in {200, 404}:
                    data = answer.json().get("data")
                    told(data and f"{data['bankId']}/{data['customerId']}")

    async def _lookup(self, device: str) -> httpx.Response | None:
        # A command that is refused tells a position that covers all that was answered before.
        nothing = {"customerId": "nobody", "deviceId": "device-of-nobody"}
        refused = await self._post(f"{COMMANDS}/deactivate", nothing, "bank-4")
        if refused is None or refused.status_code != 404:
            return None
        position = {"Ledger-Min-Position": refused.headers["Ledger-Position"]}
        return await self._try(
            "/v1/customer/device/lookup",
            {"deviceId": device},
            self._system.merchant() | position,
        )

    async def _post(self, path: str, body: dict[str, Any], bank: str) -> httpx.Response | None:
        return await self._try(path, body, self._system.bank(bank))

    async def _try(
        self, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> httpx.Response | None:
        """The answer, or nothing where the process went away before it; one that is away already
        has done nothing, and the other is asked."""
        for process in self._chance.sample(PROCESSES, 2):
            try:
                return await self._clients[process].post(path, json=body, headers=headers)
            except httpx.ConnectError:
                continue
            except httpx.TransportError:
                return None
        return None

    async def killer(self) -> None:
        """Kill one process in the middle, and start it again."""
        await self._many.wait()
        await asyncio.to_thread(self._system.kill, "api-2")
        await asyncio.to_thread(self._system.start, "api-2")


async def test_each_devices_history_is_that_of_one_register(postgres: str, tmp_path: Path) -> None:
    with (
        fresh_database(postgres) as ledger,
        fresh_database(postgres) as vault,
        System(tmp_path, event_store_url=ledger, read_models_url=ledger, vault_url=vault) as system,
    ):
        system.start("broker", *PROCESSES, "relay", "streams")
        async with system.client("api") as first, system.client("api-2") as second:
            racers = Racers(system, {"api": first, "api-2": second})
            await asyncio.gather(
                *(racers.bank(bank, f"{bank}-{number}") for bank in BANKS for number in range(2)),
                *(racers.merchant() for _ in range(4)),
                racers.killer(),
            )
    histories = racers.history.operations
    results = [one.result for history in histories.values() for one in history]
    assert len(results) == ROUNDS * 10
    assert results.count(DONE) > ROUNDS
    assert results.count(REFUSED) > ROUNDS
    assert len(results) - results.count(UNKNOWN) > ROUNDS * 8
    wrong = {device: one for device, one in histories.items() if not is_linearizable(one)}
    assert wrong == {}
