"""The master key is exchanged while processes serve: they go on, and none is started again."""

import asyncio
import base64
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from device_ledger.keyfile import key_path
from device_ledger.vault.stores import open_store
from tests.conftest import AnyStore
from tests.support.published import without_topics
from tests.support.system import System, link
from tests.support.traces import files_below, traces

LOOKUP = "/v1/customer/device/lookup"


@pytest.fixture
async def servers(kafka: str) -> str:
    """A Kafka without topics of ours."""
    await without_topics(kafka)
    return kafka


@pytest.fixture
def system(any_store: AnyStore, vault_url: str, servers: str) -> Iterator[System]:
    """The system; on PostgreSQL the vault has a database of its own."""
    with System(
        any_store.home,
        servers,
        event_store_url=any_store.url,
        read_models_url=any_store.url,
        vault_url=vault_url,
    ) as made:
        yield made


def wrapped(system: System) -> list[str]:
    """All data keys as they are stored."""
    with closing(open_store(system.settings)) as store:
        return [str(row.wrapped) for row in store.page(("", ""), 1_000)]


def ran(system: System, *words: str) -> str:
    """What a command told that did what it was asked."""
    done = system.run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


async def look_up(system: System, number: int, position: str, name: str) -> None:
    """The device is found, its phrase opened."""
    async with system.client(name) as client:
        while True:
            headers = system.merchant() | {"Ledger-Min-Position": position}
            body = {"deviceId": f"device-{number}"}
            answer = await client.post(LOOKUP, json=body, headers=headers)
            if answer.status_code != 503 or "not shown yet" not in answer.text:
                break
    assert (answer.status_code, answer.json()["data"]["phrase"]) == (200, f"phrase {number}")


class Traffic:
    """Links a new customer's device and looks an older one up, again and again, until told."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._stop = asyncio.Event()
        self._done: asyncio.Queue[int] = asyncio.Queue()
        self.positions: list[str] = []
        self.serving = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self._system.client() as client:
            while not self._stop.is_set():
                position = await link(self._system, client, len(self.positions))
                self.positions.append(position)
                older = len(self.positions) // 2
                for name in ("api", "node"):
                    await look_up(self._system, older, self.positions[older], name)
                self._done.put_nowait(older)

    async def until(self, more: int) -> None:
        """Wait for so many more rounds, each of them right."""
        for _ in range(more):
            waiting = asyncio.create_task(self._done.get())
            await asyncio.wait({waiting, self.serving}, return_when=asyncio.FIRST_COMPLETED)
            if self.serving.done():
                self.serving.result()

    async def end(self) -> None:
        """End after the round that is under way."""
        self._stop.set()
        await self.serving


async def test_processes_go_on_through_a_rotation_without_a_start(system: System) -> None:
    await asyncio.to_thread(system.start, "api", "relay", "streams")
    async with system.client() as client:
        # By its first event a node knows which ledger it is of.
        await link(system, client, 1_000)
    await asyncio.to_thread(system.start, "node")
    traffic = Traffic(system)
    await traffic.until(10)
    before = wrapped(system)
    assert "holds a second master key now" in ran(system, "keys", "add", "master")
    await traffic.until(5)
    told = await asyncio.to_thread(ran, system, "keys", "rotate-master")
    assert "data keys were wrapped anew" in told
    await traffic.until(5)
    await traffic.end()
    after = wrapped(system)
    assert len(after) == 1 + len(traffic.positions)
    assert set(before) & set(after) == set()
    assert "Nothing to do" in ran(system, "keys", "rotate-master")
    if not system.settings.vault_url.get_secret_value():
        assert traces(before, files_below(system.home / "vault")) == []

    # Whoever starts with the new key alone finds everything.
    file = key_path(system.home, "master")
    old, new = file.read_text().split()
    file.write_text(new)
    assert old not in ran(system, "keys", "list")
    await asyncio.to_thread(system.stop, "api", "node")
    await asyncio.to_thread(system.start, "api", "node")
    last = len(traffic.positions) - 1
    for number in (0, last):
        for name in ("api", "node"):
            await look_up(system, number, traffic.positions[last], name)


async def test_with_the_old_key_alone_an_api_does_not_start(tmp_path: Path, kafka: str) -> None:
    with System(tmp_path, kafka) as system:
        await asyncio.to_thread(system.start, "api")
        async with system.client() as client:
            await link(system, client, 1)
        ran(system, "keys", "add", "master")
        ran(system, "keys", "rotate-master")
        system.stop("api")
        file = key_path(system.home, "master")
        file.write_text(file.read_text().split()[0])
        done = system.run("api")
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"the vault needs master key" in done.stderr


def test_a_key_of_the_environment_is_not_added_to(tmp_path: Path) -> None:
    key = base64.b64encode(bytes(32)).decode()
    with System(tmp_path, "127.0.0.1:1", env={"DEVICE_LEDGER_MASTER_KEY": key}) as system:
        done = system.run("keys", "add", "master")
    assert done.returncode == 2
    assert done.stderr.startswith(b"device-ledger: DEVICE_LEDGER_MASTER_KEY gives the master key")
