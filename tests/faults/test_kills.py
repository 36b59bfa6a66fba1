"""Commands of real shape go through a running system while each of its processes is killed.

``FAULT_COMMANDS`` says how many, 10,000 by default; ``FAULT_SEED`` which, by default others each
time. Afterwards the ids in answers, event store, topic and read models must be the same.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from device_ledger.vault.keys import load_or_create_keys
from tests.faults.checking import violations
from tests.support.answers_check import Command
from tests.support.system import System

COMMANDS = int(os.environ.get("FAULT_COMMANDS", "10000"))
SEED = int(os.environ.get("FAULT_SEED", str(random.randrange(1 << 32))))
KILLED = ("streams", "relay", "api", "broker")


class Simulation:
    """``device-ledger simulate`` beside the test, and what it wrote down."""

    def __init__(self, system: System, directory: Path) -> None:
        self._calls, self._answers = directory / "calls.ndjson", directory / "answers.ndjson"
        self._system = system
        words = ("--commands", str(COMMANDS), "--seed", str(SEED), "--url", system.url())
        files = ("--out", str(self._calls), "--answers", str(self._answers))
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "device_ledger",
                "simulate",
                *words,
                *files,
                "--patience",
                "300",
            ],
            env=system.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    async def answered(self, share: float) -> None:
        """Return once that share of the commands was answered."""
        while self._count() < share * COMMANDS:
            assert self._process.poll() is None, "the simulation ended too soon"
            await asyncio.sleep(0.05)

    async def end(self) -> None:
        """Return once all were answered."""
        _, said = await asyncio.to_thread(self._process.communicate)
        assert self._process.returncode == 0, said.decode()[-2000:]

    def commands(self) -> list[Command]:
        """Every command with its answer."""
        tokens = load_or_create_keys(self._system.home).token
        answers = {line["n"]: line for line in self._lines(self._answers)}
        return [
            Command(
                request_id=answers[call["number"]]["key"],
                verb=call["command"],
                customer_id=call["body"]["customerId"],
                device=tokens.device(call["body"]["deviceId"]),
                seen_at=call["body"].get("seenAt"),
                status=answers[call["number"]]["status"],
            )
            for call in self._lines(self._calls)
        ]

    def _count(self) -> int:
        if not self._answers.exists():
            return 0
        with self._answers.open("rb") as file:
            return sum(1 for _ in file)

    @staticmethod
    def _lines(path: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.timeout(1800)
async def test_nothing_is_lost_doubled_or_reordered_whatever_is_killed(tmp_path: Path) -> None:
    with System(tmp_path / "home") as system:
        await asyncio.to_thread(system.start_all)
        simulation = Simulation(system, tmp_path)
        for number, name in enumerate(KILLED):
            await simulation.answered((number + 0.5) / (len(KILLED) + 1))
            system.kill(name)
            await asyncio.to_thread(system.start, name)
        await simulation.end()
        for name in ("relay", "streams"):
            if not system.runs(name):
                await asyncio.to_thread(system.start, name)
        assert await violations(system.settings, simulation.commands()) == [], f"seed {SEED}"
