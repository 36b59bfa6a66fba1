"""The logs' key is exchanged: the old one hands the logs over, and whoever checks them follows."""

import asyncio
import json
import shutil
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pytest

from device_ledger.keyfile import key_path
from device_ledger.wire.access import CHECKPOINT_CHECKED
from device_ledger.wire.topics import ensure_topics
from tests.support.access_log import on_kafka
from tests.support.published import without_topics
from tests.support.system import System, link

LOOKUP = "/v1/customer/device/lookup"


class Logs:
    """A system, and what an auditor of its events log does."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._linked = 0

    def ran(self, *words: str, code: int = 0) -> str:
        """What a command told that ended with this code."""
        done = self.system.run(*words)
        assert done.returncode == code, (done.stdout, done.stderr)
        return (done.stdout if code == 0 else done.stderr).decode()

    async def restart(self) -> None:
        """Let the relay and the API take up the keys that there are."""
        await asyncio.to_thread(self.system.stop, "relay", "api")
        await asyncio.to_thread(self.system.start, "api", "relay")

    async def until(self, found: Callable[[], bool]) -> None:
        """Wait for something that comes without a sign, while the relay runs."""
        while not await asyncio.to_thread(found):
            assert self.system.runs("relay")
            await asyncio.sleep(0.2)

    async def signed(self, file: Path) -> None:
        """Link a device, and write all checkpoints to a file once one has that."""
        async with self.system.client() as client:
            self._linked += 1
            await link(self.system, client, self._linked)
        size = len(self.system.stored())

        def is_signed() -> bool:
            file.write_bytes(self.system.run("log", "checkpoints", "--all").stdout)
            return f"\n{size}\n" in file.read_text()

        await self.until(is_signed)

    async def accesses_are_handed_over(self) -> None:
        """Let the access log grow, and wait until it has a hand-over too."""
        system = self.system
        async with system.client() as client:
            ask = partial(client.post, LOOKUP, json={"deviceId": "device-1"})
            while (await ask(headers=system.merchant())).status_code != HTTPStatus.OK:
                assert system.runs("streams")
        await self.until(lambda: system.run("log", "hand-overs", "access").stdout != b"")

    def verified(self, source: str, *given: str) -> bool:
        """Whether the log is whole; what is given goes before what is kept here."""
        done = self.system.run("verify", "--source", source, *given)
        assert (done.returncode, b"Whole: " in done.stdout) in {(0, True), (1, False)}
        return done.returncode == 0


@pytest.fixture
async def servers(kafka: str) -> str:
    await without_topics(kafka)
    await ensure_topics(kafka, partitions=8, replication_factor=1)
    return kafka


async def test_who_kept_the_old_key_follows_to_the_new_one(servers: str, tmp_path: Path) -> None:
    kept, file = tmp_path / "kept.txt", key_path(tmp_path, "log")
    with System(tmp_path, servers) as system:
        await asyncio.to_thread(system.start, "api", "relay", "streams", "detector")
        logs = Logs(system)
        await logs.signed(kept)
        old_key = logs.ran("log", "key").strip()
        assert "holds a second log key now" in logs.ran("keys", "add", "log")
        await logs.restart()
        await logs.signed(kept)
        hand_over, new_key = logs.ran("log", "hand-overs"), logs.ran("log", "key").strip()
        assert f"\nhand-over {old_key} {new_key}\n" in hand_over
        await logs.accesses_are_handed_over()

        # From now on the relay needs the new key alone.
        file.write_text(file.read_text().split()[1])
        await logs.restart()
        await logs.signed(kept)
        assert hand_over in kept.read_text()
        for key in (old_key, new_key):
            assert logs.verified("topic", "--checkpoint", str(kept), "--key", key)
        assert logs.verified("store")
        kept.write_text(kept.read_text().replace(hand_over, ""))
        assert not logs.verified("topic", "--checkpoint", str(kept), "--key", old_key)
        await the_api_tells(system, new_key, hand_over)
        await the_witness_follows(logs, hand_over)

        # Trees that were lost are built anew, and the topic tells who signed what.
        await asyncio.to_thread(system.stop, "relay")
        shutil.rmtree(tmp_path / "log")
        await asyncio.to_thread(system.start, "relay")
        await logs.signed(kept)
        assert logs.ran("log", "hand-overs") == hand_over
        assert logs.verified("store")


async def the_api_tells(system: System, key: str, hand_over: str) -> None:
    """The key of today, and what led to it."""
    async with system.client() as client:
        answer = await client.get("/v1/security/log/key", headers=system.token("security"))
    told = answer.json()
    assert (told["verifierKey"], told["handOvers"]) == (key, [hand_over])


async def the_witness_follows(logs: Logs, hand_over: str) -> None:
    """It believes the new key, has checked what that signed, and complains of nothing."""
    system = logs.system
    state, size = system.home / "witness" / "state.json", len(system.stored())

    def has_followed() -> bool:
        found = json.loads(state.read_text())
        is_there: bool = found["logs"]["events"]["size"] == size
        return is_there and found["handOvers"]["events"] == [hand_over]

    await logs.until(has_followed)
    checked = [one for one in await on_kafka(system.servers) if one.type == CHECKPOINT_CHECKED]
    assert {one.data["outcome"] for one in checked} == {"done"}
