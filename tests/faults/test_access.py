"""No lookup is answered without its access record, whatever is killed or hangs."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from device_ledger.wire.access import encode
from device_ledger.wire.topics import ACCESS
from tests.support.access_log import on_kafka, once, spooled
from tests.support.events_topic import remove
from tests.support.system import System

LOOKUP = "/v1/customer/device/lookup"
AT_ONCE = 8
UNKNOWN = {"DEVICE_LEDGER_RATE_UNKNOWN_LOOKUPS": "1000000"}


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """The system with a broker of its own, and no limit that these lookups would meet."""
    with System(tmp_path, env=UNKNOWN) as made:
        yield made


class Asking:
    """Lookups, one after the other on each of ``AT_ONCE`` connections; those that were answered."""

    def __init__(self, system: System, name: str) -> None:
        self.answers: dict[str, int] = {}
        self._system = system
        self._name = name
        self._numbers = itertools.count()
        self._more = asyncio.Event()

    async def until_answered(self, more: int) -> None:
        """Return once so many more were answered."""
        due = len(self.answers) + more
        while len(self.answers) < due:
            self._more.clear()
            await self._more.wait()

    async def run(self, client: httpx.AsyncClient) -> None:
        """Ask until cancelled, or until the API is gone."""
        merchant = self._system.merchant()
        while True:
            request_id = f"{self._name}-{next(self._numbers)}"
            headers = merchant | {"X-Request-ID": request_id}
            body = {"deviceId": request_id}
            try:
                answer = await client.post(LOOKUP, json=body, headers=headers)
            except httpx.TransportError:
                return
            self.answers[request_id] = answer.status_code
            self._more.set()


@asynccontextmanager
async def asking(system: System, name: str) -> AsyncIterator[Asking]:
    """Lookups are going on; at the end those that are under way are given up."""
    made = Asking(system, name)
    async with system.client() as client:
        tasks = [asyncio.create_task(made.run(client)) for _ in range(AT_ONCE)]
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def recorded(system: System) -> list[str]:
    """Of each record on Kafka, once nothing is spooled, the request; repeats are dropped."""
    async with system.client() as client:
        while "access-log" in (await client.get("/readyz")).text:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)
    return [one.data["requestId"] for one in once(await on_kafka(system.servers))]


async def check(system: System, *all_asked: Asking) -> None:
    """Each answered lookup has one record; one that was given up has one or none."""
    answers = {name: status for asked in all_asked for name, status in asked.answers.items()}
    assert set(answers.values()) == {404}
    requests = await recorded(system)
    assert len(requests) == len(set(requests))
    assert answers.keys() - set(requests) == set()
    assert len(requests) <= len(answers) + len(all_asked) * AT_ONCE
    assert spooled(system.home) == []


async def test_lookups_go_on_while_kafka_is_away(system: System) -> None:
    await asyncio.to_thread(system.start_all)
    async with asking(system, "while") as asked:
        await asked.until_answered(50)
        system.kill("broker")
        await asked.until_answered(100)
        assert spooled(system.home) != []
        await asyncio.to_thread(system.start, "broker")
        await asked.until_answered(100)
    await check(system, asked)

    lines = sum(len(encode(one)) for one in await on_kafka(system.servers))
    segments = (system.home / "kafka").rglob(f"{ACCESS}-0/*.log")
    assert 0 < sum(one.stat().st_size for one in segments) < lines / 2


async def test_lookups_go_on_while_kafka_hangs(system: System) -> None:
    await asyncio.to_thread(system.start_all)
    broker = psutil.Process(system.child("broker").pid)
    async with asking(system, "hangs") as asked:
        await asked.until_answered(50)
        hanging = [broker, *broker.children(recursive=True)]
        for process in hanging:
            process.suspend()
        await asked.until_answered(100)
        for process in hanging:
            process.resume()
        await asked.until_answered(100)
    await check(system, asked)


async def test_lookups_go_on_before_the_topic_was_made(system: System) -> None:
    await asyncio.to_thread(system.start_all)
    # Nothing else makes the topic, and a lookup needs a read model that was built once.
    system.stop("relay", "streams", "api")
    await remove(system.servers, ACCESS)
    await asyncio.to_thread(system.start, "api")
    async with asking(system, "before") as asked:
        await asked.until_answered(50)
        assert spooled(system.home) != []
        await asyncio.to_thread(system.start, "relay")
        await asked.until_answered(50)
    await check(system, asked)


async def test_what_a_killed_api_spooled_the_next_one_sends(system: System) -> None:
    await asyncio.to_thread(system.start_all)
    system.kill("broker")
    all_asked = []
    for number in range(2):
        async with asking(system, f"killed-{number}") as asked:
            await asked.until_answered(100)
            system.kill("api")
        all_asked.append(asked)
        assert asked.answers.keys() <= {one.data["requestId"] for one in spooled(system.home)}
        await asyncio.to_thread(system.start, "api")
    await asyncio.to_thread(system.start, "broker")
    # Once more while what they left is being sent, wherever that is.
    async with asking(system, "last") as asked:
        await asked.until_answered(10)
        system.kill("api")
    all_asked.append(asked)
    await asyncio.to_thread(system.start, "api")
    await check(system, *all_asked)
