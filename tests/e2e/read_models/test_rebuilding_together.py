"""A rebuild by several processes: the same rows, and the same care with the swap."""

import asyncio
from pathlib import Path

import psutil
import psycopg
import pytest

from projections import sharing
from projections.guard import BrokenChainError
from projections.links.apply import MODEL as LINKS
from projections.lookup.apply import MODEL as LOOKUP
from projections.rebuild import rebuild_one
from projections.sharing import ShareEndedError
from projections.store import open_store
from tests.conftest import AnyStore
from tests.support.read_models import Dump, dump_of
from tests.support.workers import END, HALF, PARTITIONS, RECORDS, Running, started


@pytest.fixture
def postgresql(servers: str, postgres_database: str, tmp_path: Path) -> Running:
    """An installation on PostgreSQL, with nothing built yet."""
    return Running(servers, AnyStore(postgres_database, tmp_path))


async def rebuilt(running: Running) -> None:
    """Rebuild the lookup by two processes."""
    await rebuild_one(running.settings, LOOKUP, lambda *_: None, processes=2)


async def test_processes_together_build_what_one_builds(
    postgresql: Running, expected: Dump
) -> None:
    await postgresql.send(RECORDS)
    with started(postgresql.worker):
        assert await postgresql.shown(END) == expected
        told: list[tuple[int, int]] = []
        for model in (LOOKUP, LINKS):
            before = open_store(postgresql.settings).live(model)
            await rebuild_one(
                postgresql.settings, model, lambda *now: told.append(now), processes=2
            )
            assert open_store(postgresql.settings).live(model) != before
        assert await dump_of(postgresql.settings) == expected
    assert told[-1] == (len(RECORDS), len(RECORDS))
    assert told == [(read, total) for read, total in told if 0 <= read <= total]


async def test_more_processes_than_partitions_are_as_many_as_these(
    postgresql: Running, expected: Dump
) -> None:
    await postgresql.send(RECORDS)
    assert PARTITIONS < 7
    code, _, _ = await asyncio.to_thread(postgresql.run, "rebuild", "lookup", "--processes", "7")
    assert (code, lookup_of(postgresql)) == (0, expected["lookup"])


async def test_what_a_process_finds_wrong_ends_the_rebuild(postgresql: Running) -> None:
    await postgresql.send(RECORDS[:HALF])
    await rebuilt(postgresql)
    live = open_store(postgresql.settings).live(LOOKUP)
    lost = RECORDS[HALF]
    await postgresql.send([r for r in RECORDS[HALF + 1 :] if r.partition == lost.partition])
    with pytest.raises(BrokenChainError, match=f"partition {lost.partition}: the topic lacks"):
        await rebuilt(postgresql)
    assert open_store(postgresql.settings).live(LOOKUP) == live


async def test_a_process_that_is_killed_ends_the_rebuild_and_changes_nothing(
    postgresql: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await postgresql.send(RECORDS)
    await rebuilt(postgresql)
    live, before = open_store(postgresql.settings).live(LOOKUP), lookup_of(postgresql)
    result = sharing._result

    def killed(told: object) -> None:
        for process in psutil.Process().children():
            if "spawn_main" in " ".join(process.cmdline()):
                process.kill()
        result(told)  # type: ignore[arg-type]

    monkeypatch.setattr(sharing, "_result", killed)
    with pytest.raises(ShareEndedError):
        await rebuilt(postgresql)
    monkeypatch.undo()
    assert open_store(postgresql.settings).live(LOOKUP) == live
    await rebuilt(postgresql)
    assert lookup_of(postgresql) == before


def lookup_of(running: Running) -> list[tuple[object, ...]]:
    """The rows of the live lookup."""
    name = open_store(running.settings).live(LOOKUP)
    with psycopg.connect(running.store.url) as connection:
        rows = connection.execute(f"SELECT * FROM {name}.lookup ORDER BY device_token")
        return rows.fetchall()


async def test_sqlite_is_built_by_one(servers: str, tmp_path: Path) -> None:
    running = Running(servers, AnyStore("", tmp_path))
    await running.send(RECORDS)
    code, _, errors = await asyncio.to_thread(running.run, "rebuild", "lookup", "--processes", "2")
    assert (code, errors.splitlines()[-1]) == (
        1,
        b"lookup: read models on SQLite are built by one process",
    )
