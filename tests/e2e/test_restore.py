"""The system is backed up under load, its home is destroyed, and it goes on from the backup."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.published import without_topics
from tests.support.system import System, link

LOOKUP = "/v1/customer/device/lookup"


@pytest.fixture
def system(kafka: str, tmp_path: Path) -> Iterator[System]:
    asyncio.run(without_topics(kafka))
    with System(tmp_path / "home", kafka) as system:
        yield system


class Load:
    """Links one customer's device after the other, and keeps which were answered."""

    def __init__(self, system: System, client: httpx.AsyncClient) -> None:
        self._system = system
        self._client = client
        self.positions: list[str] = []
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Go on until it is ended."""
        while not self._ending.is_set():
            self.positions.append(await link(self._system, self._client, len(self.positions)))

    async def at_least(self, count: int) -> None:
        """Return once so many were answered."""
        while len(self.positions) < count:  # noqa: ASYNC110 - a count is no event
            await asyncio.sleep(0.01)

    def end(self) -> None:
        """Answer no more."""
        self._ending.set()


async def look_up(
    system: System, client: httpx.AsyncClient, number: int, position: str
) -> httpx.Response:
    """The lookup of a device, once a read model shows the position."""
    async with asyncio.timeout(120):
        while True:
            answer = await client.post(
                LOOKUP,
                json={"deviceId": f"device-{number}"},
                headers=system.merchant() | {"Ledger-Min-Position": position},
            )
            if answer.status_code != 503:
                return answer
            await asyncio.sleep(float(answer.headers["Retry-After"]))


async def backed_up(system: System, folder: Path) -> tuple[list[Path], list[str], int]:
    """Back up while links come; the backups, all positions answered, and how many were before."""
    async with system.client() as client:
        load = Load(system, client)
        loading = asyncio.create_task(load.run())
        await load.at_least(40)
        before = len(load.positions)
        words = ["backup", str(folder / "ledger"), "--vault", str(folder / "vault")]
        made = await asyncio.to_thread(system.run, *words)
        assert made.returncode == 0, made.stderr
        await load.at_least(len(load.positions) + 20)
        load.end()
        await loading
    return [Path(line) for line in made.stdout.decode().splitlines()], load.positions, before


def destroy(system: System) -> None:
    """Lose the home, but for the keys, which are kept apart."""
    for folder in system.home.iterdir():
        if folder.name != "keys":
            shutil.rmtree(folder)


@pytest.mark.parametrize("topics", ["are ahead", "are lost"])
async def test_nothing_that_was_answered_before_a_backup_is_lost_with_the_home(
    system: System, tmp_path: Path, topics: str
) -> None:
    names = ("api", "relay", "streams")
    await asyncio.to_thread(system.start, *names)
    [folder, vault], positions, before = await backed_up(system, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    kept = (manifest["last_id"], manifest["last_at"])
    await until_published(system, positions)
    system.kill(*names)
    destroy(system)
    if topics == "are lost":
        await without_topics(system.servers)
    words = ["restore", str(folder), "--vault", str(vault)]
    restored = await asyncio.to_thread(system.run, *words)
    assert restored.returncode == 0, restored.stderr
    assert b"of epoch 2 now" in restored.stdout
    await asyncio.to_thread(system.start, *names)
    async with system.client() as client:
        position = await link(system, client, 10_000)
        answers = [await look_up(system, client, n, position) for n in range(len(positions))]
        there = [answer.status_code == 200 for answer in answers]
        # All that was answered before the backup, and no later one without those before it.
        assert before <= there.index(False) == sum(there)
        assert [one.json()["data"]["phrase"] for one in answers[: sum(there)]] == [
            f"phrase {n}" for n in range(sum(there))
        ]
        await check_positions(system, client, positions, sum(there))
        await check_trail(system, client)
    lost = list((system.home / "lost").glob("*.ndjson"))
    assert len(lost) == (topics == "are ahead")
    for file in lost:
        check_lost(file, kept, len(positions) - sum(there))
    for source in ("store", "topic"):
        verified = await asyncio.to_thread(system.run, "verify", "--source", source)
        assert verified.returncode == 0, verified.stderr


async def until_published(system: System, positions: list[str]) -> None:
    """Return once a read shows all that was answered."""
    async with system.client() as client:
        assert (await look_up(system, client, 0, positions[-1])).status_code == 200


async def check_positions(
    system: System, client: httpx.AsyncClient, positions: list[str], kept: int
) -> None:
    """What was kept is shown as before; what was lost is told at once."""
    assert (await look_up(system, client, 0, positions[kept - 1])).status_code == 200
    lost = await look_up(system, client, 0, positions[-1])
    assert lost.status_code == 400
    assert "were lost when the ledger was restored" in lost.json()["message"]


async def check_trail(system: System, client: httpx.AsyncClient) -> None:
    """The trail says of each partition that the ledger was restored."""
    body = {"types": ["ledger.restored.v1"], "limit": 100}
    headers = system.token("security")
    entries: list[dict[str, Any]] = []
    async with asyncio.timeout(120):
        while len(entries) < 8:
            found = await client.post("/v1/security/audit/search", json=body, headers=headers)
            entries = found.json().get("entries", [])
            await asyncio.sleep(0.2)
    assert [one["reason"] for one in entries] == ["restored from a backup"] * 8


def check_lost(file: Path, kept: tuple[int, str], links: int) -> None:
    """The file has the events of the links that were lost, and no others."""
    events: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(events) == 2 * links
    assert min(int(one["id"]) for one in events) > kept[0]
    assert min(one["time"] for one in events) >= kept[1]


async def test_an_erasure_is_finished_again_where_a_vault_of_before_it_is_restored(
    tmp_path: Path,
) -> None:
    # Nothing listens there: the API keeps its access records.
    with System(tmp_path / "home", "127.0.0.1:9") as system:
        await asyncio.to_thread(system.start, "api")
        async with system.client() as client:
            await link(system, client, 1)
            words = ["backup", str(tmp_path / "ledger"), "--vault", str(tmp_path / "vault")]
            made = await asyncio.to_thread(system.run, *words)
            assert made.returncode == 0, made.stderr
            body = {"bankId": "bank-1", "customerId": "customer-1", "reason": "case 17"}
            path = "/v1/security/customers/erase"
            erased = await client.post(path, json=body, headers=system.token("lead"))
            assert erased.status_code == 200, erased.text
        refused = await asyncio.to_thread(system.run, "restore", str(tmp_path))
        assert (refused.returncode, b"the API works on" in refused.stderr) == (1, True)
        system.kill("api")
        vault = made.stdout.decode().splitlines()[1]
        assert wrapped(system) == [None]
        restored = await asyncio.to_thread(system.run, "restore", "--vault", vault)
        assert restored.returncode == 0, restored.stderr
        assert wrapped(system) != [None]
        await asyncio.to_thread(system.start, "api")
        assert wrapped(system) == [None]


def wrapped(system: System) -> list[str | None]:
    """The data keys in the vault."""
    with closing(sqlite3.connect(system.home / "vault" / "vault.db")) as database:
        return [key for (key,) in database.execute("SELECT wrapped FROM data_keys")]
