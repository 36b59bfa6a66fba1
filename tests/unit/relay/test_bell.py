"""The relay hears at once what was written to a SQLite event store."""

import asyncio
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from device_ledger.ledger.bell import bell_of, listening, ring
from device_ledger.ledger.ledger import Ledger
from device_ledger.relay.lease import take_lease
from device_ledger.settings import Settings
from tests.support.relaying import write

FOR_EVER = 3_600.0


async def test_a_command_rings(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    ledger = Ledger.open(settings)
    async with take_lease(settings) as lease:
        waiting = asyncio.create_task(lease.changed(FOR_EVER))
        await asyncio.to_thread(write, ledger, 1)
        assert await waiting
        assert not await lease.changed(0.01)
    ledger.close()


async def test_what_was_written_before_it_waits_is_not_missed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    ledger = Ledger.open(settings)
    async with take_lease(settings) as lease:
        await asyncio.to_thread(write, ledger, 1)
        assert await lease.changed(FOR_EVER)
    ledger.close()


async def test_what_nobody_rang_for_is_found_too(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    Ledger.open(settings).close()
    async with take_lease(settings) as lease:
        assert not await lease.changed(0.01)
        with closing(sqlite3.connect(tmp_path / "ledger" / "events.db")) as other, other:
            other.execute("CREATE TABLE silent (number INTEGER)")
        assert await lease.changed(0.01)


async def test_it_rings_whatever_the_pipe_is_like(tmp_path: Path) -> None:
    bell = bell_of(tmp_path / "events.db")
    ring(bell)
    os.mkfifo(bell)
    ring(bell)
    with listening(bell) as bells:
        _fill(bell)
        ring(bell)
        assert await bells.rung(FOR_EVER)
        assert not await bells.rung(0.01)
        ring(bell)
        assert await bells.rung(FOR_EVER)
    assert not bell.exists()


def _fill(bell: Path) -> None:
    pipe = os.open(bell, os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"\0" * 4096)
    os.close(pipe)
