"""How long a first start takes, and the memory that the processes hold with many devices.

A start is ``device-ledger up`` on a new home, its jars fetched already, until all of it serves.
Memory is the proportional set size (PSS): pages that processes share are counted once. It is
measured when the relay has published a ledger of so many devices and every read model shows it.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.ledgers import fill
from bench.report import Row
from bench.system import System, running_system
from device_ledger.ledger.ledger import EventStore
from device_ledger.settings import Settings
from device_ledger.vault.keys import load_or_create_keys
from tests.support.read_models import until_shown

STARTS: Final = 5
GOAL_SECONDS: Final = 15.0
GOAL_MIB: Final = 400.0
HOLDING: Final = ("api", "relay", "streams")
DEVICES_FULL: Final = 1_000_000
DEVICES: Final = 10_000
_PATIENCE: Final = 3600.0
_SAMPLES: Final = 5


def measure(begin: Callable[[str], None], step: Callable[[], None], full: bool) -> list[Row]:
    """Start often on new homes, then once on a ledger of many devices.

    ``step`` is called after each start.
    """
    row = Row("`up` on a new home to ready", "s", "lower", goal=GOAL_SECONDS)
    for _ in range(STARTS):
        begin("a first start")
        with tempfile.TemporaryDirectory(prefix="device-ledger-bench-") as home:
            begun = time.perf_counter()
            with running_system(Path(home)):
                row.rounds.ours.append(time.perf_counter() - begun)
        step()
    devices = DEVICES_FULL if full else DEVICES
    begin(f"memory with {devices:,} devices")
    rows = [row, *_measure_memory(devices)]
    step()
    return rows


def _measure_memory(devices: int) -> list[Row]:
    names = ("api, relay and streams", *HOLDING)
    rows = {name: Row(f"{name}: PSS, {devices:,} devices", "MiB", "lower") for name in names}
    rows[names[0]].goal = GOAL_MIB
    with tempfile.TemporaryDirectory(prefix="device-ledger-bench-") as folder:
        home = Path(folder)
        settings = Settings(home=home)
        # Before the data, as a start makes them: without its keys none goes on with it.
        load_or_create_keys(home)
        fill(settings, devices)
        store = EventStore.open(settings)
        position = store.store.heads()
        store.close()
        with running_system(home) as system:
            asyncio.run(until_shown(settings, position, within=_PATIENCE))
            for _ in range(_SAMPLES):
                held = {name: _mib(system, name) for name in HOLDING}
                for name, mib in held.items():
                    rows[name].rounds.ours.append(mib)
                rows[names[0]].rounds.ours.append(sum(held.values()))
    return list(rows.values())


def _mib(system: System, name: str) -> float:
    return float(system.memory(name) / 2**20)
