"""Replays over HTTP, with a child that answers at once: ours needs an archive and a Kafka."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from api.security import replay_runner
from api.security.replay_files import Replay
from tests.support.installation import Installation

PATH = "/v1/security/replays"
DAY: dict[str, Any] = {"from": "2026-01-30T00:00:00Z", "to": "2026-01-31T00:00:00Z"}

CHILD = """
import json, os, signal, sys
options = dict(word.split("=", 1) for word in sys.argv[1:])
progress = {"entriesRead": 3, "total": 9, "perSecond": 1.5, "secondsLeft": 4.0, "rule": "r"}

def write(path, content):
    with open(path + ".new", "w") as file:
        json.dump(content, file)
    os.replace(path + ".new", path)

write(options["--progress-file"], progress)
if %(waits)r:
    signal.sigwait({signal.SIGTERM})
    sys.exit("device-ledger: the replay was cancelled")
told = sorted(name for name in os.environ if name.startswith("DEVICE_LEDGER_"))
told = {"asked": options, "settings": told} if %(asked)r else {
    "from": options["--from"], "to": options["--to"], "rules": ["r"], "entries": 3, "alerts": [],
    "gone": [], "counts": {"new": 0, "gone": 0, "same": 0}, "late": {"count": 0, "refs": []},
}
write(options["--json"], told)
"""


def answer_at_once(
    monkeypatch: pytest.MonkeyPatch, *, waits: bool = False, asked: bool = False
) -> None:
    """Let replays run a small process instead of ours.

    One that ``waits`` does so to be stopped; with ``asked`` it answers what it was asked.
    """
    whole = replay_runner.command_of

    def command(replay: Replay) -> list[str]:
        python, *_ = words = whole(replay)
        return [python, "-c", CHILD % {"waits": waits, "asked": asked}, *words[4:]]

    monkeypatch.setattr(replay_runner, "command_of", command)


async def start(
    api: Installation, headers: Mapping[str, str] | None = None, **asked: Any
) -> httpx.Response:
    """Ask for a replay of a day."""
    body = DAY | asked
    return await api.client.post(PATH, json=body, headers=headers or api.token("security"))


async def look(api: Installation, replay: str) -> dict[str, Any]:
    """A replay as it is told."""
    response = await api.client.get(f"{PATH}/{replay}", headers=api.token("security"))
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    return told


async def until(api: Installation, replay: str, *states: str) -> dict[str, Any]:
    """The replay, once it is in one of these states."""

    async def is_there() -> bool:
        return (await look(api, replay))["state"] in states

    await come_true(is_there)
    return await look(api, replay)


async def come_true(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what nobody tells."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def children(home: Path) -> list[psutil.Process]:
    """The processes that replay on a home."""
    return [
        one
        for one in psutil.Process().children(recursive=True)
        if f"--rules={home}" in " ".join(one.cmdline())
    ]
