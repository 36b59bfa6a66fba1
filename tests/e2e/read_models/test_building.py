"""A rebuild by several processes: the same rows, and none is left however one of them ends."""

import asyncio
import os
import random
import signal
import subprocess
from pathlib import Path

import orjson
import psutil

from projections.guard import KafkaRecord
from projections.lookup.apply import MODEL as LOOKUP
from projections.store import open_store
from tests.conftest import AnyStore
from tests.support.read_models import Dump, dump_of
from tests.support.workers import END, HALF, RECORDS, Running, started

PROCESSES = ("--processes", "2")
KILLS = 5
GONE_WITHIN = 30.0
BROKEN = KafkaRecord(0, 0, b"key", b"{", ())


async def test_they_build_what_one_builds(running: Running, expected: Dump) -> None:
    await running.send([*RECORDS[:HALF], BROKEN, *RECORDS[HALF:]])
    await running.shown(END)
    parked = await dead_letters(running)
    before = open_store(running.settings).live(LOOKUP)
    code, _, errors = await asyncio.to_thread(running.run, "rebuild", "--processes", "3")
    assert (code, b"Traceback" in errors) == (0, False)
    assert open_store(running.settings).live(LOOKUP) != before
    assert await dump_of(running.settings) == expected
    # What the live ones had parked is not told of again.
    assert await dead_letters(running) == parked > 0


async def test_a_topic_that_lacks_an_event_is_told_in_one_line(
    servers: str, tmp_path: Path
) -> None:
    running = Running(servers, AnyStore("", tmp_path))
    lost = RECORDS[HALF]
    await running.send([record for record in RECORDS if record is not lost])
    code, _, errors = await asyncio.to_thread(running.run, "rebuild", "lookup", *PROCESSES)
    last = errors.strip().splitlines()[-1]
    assert (code, b"Traceback" in errors) == (1, False)
    assert f"partition {lost.partition}: the topic lacks what follows".encode() in last
    assert open_store(running.settings).live(LOOKUP) is None


async def test_one_that_is_killed_ends_the_rebuild(
    servers: str, tmp_path: Path, expected: Dump
) -> None:
    running = Running(servers, AnyStore("", tmp_path))
    with started(running.worker):
        await running.send(RECORDS)
        await running.shown(END)
        chance = random.Random(1)
        for number in range(KILLS):
            live = open_store(running.settings).live(LOOKUP)
            rebuild = begun(running)
            builders = await asyncio.to_thread(builders_of, rebuild)
            # The first while it starts, so that one is killed before its end for sure.
            await asyncio.sleep(chance.uniform(0, 1.5) if number else 0)
            killed = kill(builders[number % len(builders)])
            words = await asyncio.to_thread(ended, rebuild)
            assert psutil.wait_procs(builders, timeout=GONE_WITHIN)[1] == []
            if rebuild.returncode:
                assert killed
                assert b"ended with exit code -9: nothing was changed" in words
                assert b"Traceback" not in words
                assert open_store(running.settings).live(LOOKUP) == live
            assert number or rebuild.returncode == 1
            assert await dump_of(running.settings) == expected
        code, _, _ = await asyncio.to_thread(running.run, "rebuild", "lookup", *PROCESSES)
        assert (code, await dump_of(running.settings)) == (0, expected)


async def test_they_end_with_a_rebuild_that_is_killed_or_stopped(
    servers: str, tmp_path: Path
) -> None:
    running = Running(servers, AnyStore("", tmp_path))
    await running.send(RECORDS)
    for number in (signal.SIGKILL, signal.SIGTERM, *[signal.SIGINT] * 3):
        rebuild = begun(running)
        builders = await asyncio.to_thread(builders_of, rebuild)
        if number == signal.SIGINT:
            # As Ctrl-C: to all of them.
            os.killpg(rebuild.pid, number)
        else:
            rebuild.send_signal(number)
        words = await asyncio.to_thread(ended, rebuild)
        gone, left = psutil.wait_procs(builders, timeout=GONE_WITHIN)
        assert (len(gone), left, rebuild.returncode != 0) == (2, [], True)
        # Whoever starts and finds its parent gone may say so.
        assert number != signal.SIGINT or b"Traceback" not in words
        assert open_store(running.settings).live(LOOKUP) is None


def begun(running: Running) -> subprocess.Popen[bytes]:
    """A rebuild, the leader of a process group of its own."""
    return running.started(
        "rebuild", "lookup", *PROCESSES, start_new_session=True, stderr=subprocess.PIPE
    )


def builders_of(rebuild: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Its processes that fill the generation, once both are there."""
    while True:
        assert rebuild.poll() is None
        found = [
            child
            for child in psutil.Process(rebuild.pid).children()
            if any("spawn_main" in word for word in child.cmdline())
        ]
        if len(found) == 2:
            return found


def kill(process: psutil.Process) -> bool:
    """Whether it was still there."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def ended(rebuild: subprocess.Popen[bytes]) -> bytes:
    """What it said until its end."""
    _, words = rebuild.communicate(timeout=120)
    return words


async def dead_letters(running: Running) -> int:
    """As `status` counts them."""
    _, output, _ = await asyncio.to_thread(running.run, "status", "--json")
    return int(orjson.loads(output)["dead_letters"])
