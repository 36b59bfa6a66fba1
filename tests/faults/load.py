"""Commands of real shape that go on while something fails, and what became of each."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Final

from device_ledger.cli.bearers import of_embedded_issuer
from device_ledger.cli.post import Answer, Door, Request, post_all
from device_ledger.simulation.population import Population
from device_ledger.simulation.traffic import COMMANDS, Call, Traffic
from device_ledger.vault.keys import load_or_create_keys
from tests.faults.rig import Rig
from tests.support.answers_check import Command

RATE: Final = 15.0
"""Commands a second of each API process: enough to be amid one, and the history stays small."""
PATIENCE: Final = 180.0
MANY: Final = 100_000


class Load:
    """Posts a seed's commands to an API process; ``commands`` are those that were answered."""

    def __init__(self, rig: Rig, door: str, seed: str) -> None:
        self._door = Door(
            rig.url(door), of_embedded_issuer(rig.settings), 16, RATE, patience_seconds=PATIENCE
        )
        self._tokens = load_or_create_keys(rig.home).token
        self._name = f"{door}-{seed}"
        population = Population(sum(self._name.encode()), banks=3, customers=60, merchants=1)
        traffic = Traffic(population, datetime(2026, 1, 5, tzinfo=UTC), 7)
        self._calls = traffic.calls(MANY)
        self._probes = count(1)
        self._ending = False
        self._answered = asyncio.Event()
        self.commands: list[Command] = []

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Commands are posted while the block runs; at its end all are answered.

        Raises:
            CliError: nobody answers one for :data:`PATIENCE` seconds.
        """
        self._ending = False
        posting = asyncio.create_task(post_all(self._door, self._requests(), self._keep))
        try:
            yield
        finally:
            self._ending = True
            await posting

    async def answers(self, more: int) -> None:
        """Return once so many more were answered."""
        due = len(self.commands) + more
        while len(self.commands) < due:
            self._answered.clear()
            await self._answered.wait()

    async def probe(self) -> None:
        """Post one more, of a customer of its own, and return once it was answered."""
        await self.post("link", next(self._probes))

    async def post(self, verb: str, number: int) -> int:
        """Post a command on a customer and device of that number; the status of its answer."""
        name = f"{self._name}-{number}"
        body = {"customerId": f"probe-{name}", "phrase": f"probe {number}"}
        body["deviceId"] = f"device-{name}"
        request = Request(
            -number, "bank", "bank-01", f"{COMMANDS}{verb}", body, "", f"probe-{verb}-{name}"
        )
        await post_all(self._door, [request], self._keep)
        key = request.idempotency_key
        return next(one.status for one in reversed(self.commands) if one.request_id == key)

    def _requests(self) -> Iterator[Request]:
        for call in self._calls:
            yield _request(call, self._name)
            if self._ending:
                return

    def _keep(self, request: Request, answer: Answer) -> None:
        self.commands.append(
            Command(
                request_id=request.idempotency_key,
                verb=request.path.rpartition("/")[2],
                customer_id=request.body["customerId"],
                device=self._tokens.device(request.body["deviceId"]),
                seen_at=request.body.get("seenAt"),
                status=answer.status,
            )
        )
        self._answered.set()


def _request(call: Call, name: str) -> Request:
    device = call.body["deviceId"]
    return Request(
        call.number, "bank", call.caller, call.path, call.body, device, f"{name}-{call.number}"
    )
