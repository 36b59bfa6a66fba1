"""Paused, competing and failing workers, and databases that are lost: nothing is wrong after."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import psycopg
import pytest

from projections.links.apply import MODEL as LINKS
from projections.lookup.apply import MODEL as LOOKUP
from projections.projector import Projector
from projections.store import GenerationGoneError, StoreInUseError
from tests.support.projecting import HALF, PARTITIONS, RECORDS, Projecting
from tests.support.read_models import EVENT_MODELS, Dump


async def test_a_paused_worker_changes_nothing(halfway: Projecting, expected: Dump) -> None:
    """A worker that was stopped before its transaction finds the position moved."""
    for model in EVENT_MODELS:
        paused = halfway.live(model)
        stale = await paused.standings()
        other = halfway.live(model)
        await other.apply(RECORDS[HALF:])
        await paused.apply(RECORDS[HALF : HALF + 6])
        assert stale != await paused.standings() == await other.standings()
        await paused.close()
        await other.close()
    assert await halfway.dump() == expected


async def test_two_workers_with_the_same_batch_write_it_once(
    halfway: Projecting, expected: Dump
) -> None:
    for model in EVENT_MODELS:
        workers = [halfway.live(model) for _ in range(2)]
        await asyncio.gather(*(worker.apply(RECORDS[HALF:]) for worker in workers))
        for worker in workers:
            await worker.close()
    assert await halfway.dump() == expected


async def test_a_transaction_waits_for_the_one_that_holds_the_position(
    halfway: Projecting, expected: Dump
) -> None:
    for model in EVENT_MODELS:
        name = halfway.store.live(model)
        assert name is not None
        holding = halfway.store.open(model, name, live=True)
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with holding.transaction(range(PARTITIONS)):  # noqa: B023
                held.set()  # noqa: B023
                release.wait()  # noqa: B023

        thread = asyncio.create_task(asyncio.to_thread(hold))
        await asyncio.to_thread(held.wait)
        worker = halfway.live(model)
        applying = asyncio.create_task(worker.apply(RECORDS[HALF:]))
        done, _ = await asyncio.wait({applying}, timeout=0.2)
        assert not done
        release.set()
        await asyncio.gather(thread, applying)
        await worker.close()
        holding.close()
    assert await halfway.dump() == expected


async def test_a_worker_of_a_replaced_generation_changes_nothing_and_takes_the_new_one(
    halfway: Projecting, expected: Dump
) -> None:
    name = halfway.store.live(LOOKUP)
    assert name is not None
    old = halfway.store.open(LOOKUP, name, live=True)
    worker = halfway.live(LOOKUP)
    await worker.standings()
    await halfway.rebuild(LOOKUP)
    with pytest.raises(GenerationGoneError):
        await Projector(LOOKUP, old, halfway.topic, halfway.letters).apply(RECORDS)
    await worker.apply(RECORDS)
    assert (await halfway.dump())["lookup"] == expected["lookup"]
    await worker.close()
    old.close()


@pytest.mark.parametrize("step", ["load", "save", "remove", "count", "move"])
async def test_rows_and_position_change_together_or_not_at_all(
    halfway: Projecting, step: str, expected: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await halfway.dump()
    name = halfway.store.live(LINKS)
    assert name is not None
    generation = halfway.store.open(LINKS, name, live=True)
    standings = generation.standings()
    with generation.transaction(range(PARTITIONS)) as transaction:
        kind = type(transaction)

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(kind, step, fail)
    projector = Projector(LINKS, generation, halfway.topic, halfway.letters)
    with pytest.raises(OSError, match="the disk is full"):
        await projector.apply(RECORDS[HALF:])
    assert (await halfway.dump(), generation.standings()) == (before, standings)
    monkeypatch.undo()
    generation.close()
    await halfway.apply(RECORDS[HALF:])
    assert await halfway.dump() == expected


async def test_a_database_that_fails_for_a_while_is_tried_again(
    halfway: Projecting, expected: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = halfway.store.live(LOOKUP)
    assert name is not None
    generation = halfway.store.open(LOOKUP, name, live=True)
    kind = type(generation)
    generation.close()
    right, failures = kind.transaction, [halfway.store.retriable[0]] * 3

    def failing(*arguments: object) -> object:
        if failures:
            raise failures.pop()("the database is away")
        return right(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "transaction", failing)
    await halfway.apply(RECORDS[HALF:])
    assert (await halfway.dump(), failures) == (expected, [])


async def test_keeping_up_reads_what_the_stream_never_brought(
    halfway: Projecting, expected: Dump
) -> None:
    for model in EVENT_MODELS:
        projector = halfway.live(model)
        await projector.keep_up(halfway.topic.ends)
        readings = halfway.topic.readings
        # Once more without a move since: nobody brings them.
        await projector.keep_up(halfway.topic.ends)
        await projector.keep_up(halfway.topic.ends)
        await projector.keep_up(halfway.topic.ends)
        assert halfway.topic.readings == readings + 1
        await projector.close()
    assert await halfway.dump() == expected


async def test_a_deleted_file_is_built_anew(tmp_path: Path, expected: Dump) -> None:
    projecting = Projecting("", tmp_path, RECORDS)
    for model in EVENT_MODELS:
        projector = projecting.live(model)
        await projector.catch_up(range(PARTITIONS))
        for file in (tmp_path / "read-models" / model.name).glob("g*.db*"):
            file.unlink()
        await projector.keep_up(projecting.topic.ends)
        await projector.close()
    assert await projecting.dump() == expected


async def test_a_damaged_file_is_built_anew(tmp_path: Path, expected: Dump) -> None:
    projecting = Projecting("", tmp_path, RECORDS)
    await projecting.apply([])
    for model in EVENT_MODELS:
        [file] = (tmp_path / "read-models" / model.name).glob("g*.db")
        file.write_bytes(b"no database at all" * 1_000)
    await projecting.apply(RECORDS[-3:])
    assert await projecting.dump() == expected


async def test_a_lost_schema_is_built_anew(
    postgres_database: str, tmp_path: Path, expected: Dump
) -> None:
    projecting = Projecting(postgres_database, tmp_path, RECORDS)
    for model in EVENT_MODELS:
        projector = projecting.live(model)
        await projector.catch_up(range(PARTITIONS))
        with psycopg.connect(postgres_database) as connection:
            connection.execute(f"DROP SCHEMA {projecting.store.live(model)} CASCADE")
        await projector.keep_up(projecting.topic.ends)
        await projector.close()
    assert await projecting.dump() == expected


async def test_the_position_of_a_lost_transaction_is_read_again(
    tmp_path: Path, expected: Dump
) -> None:
    """A power cut takes the last transactions: what they held is older, never torn."""
    projecting = Projecting("", tmp_path, RECORDS[:HALF])
    await projecting.apply([])
    kept = {}
    for model in EVENT_MODELS:
        [file] = (tmp_path / "read-models" / model.name).glob("g*.db")
        sqlite3.connect(file).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        kept[file] = file.read_bytes()
    projecting.topic.add(RECORDS[HALF:])
    await projecting.apply(RECORDS[HALF:])
    for file, older in kept.items():
        file.write_bytes(older)
    for model in EVENT_MODELS:
        await projecting.live(model).catch_up(range(PARTITIONS))
    assert await projecting.dump() == expected


def test_sqlite_takes_one_writer(tmp_path: Path) -> None:
    first, second = (Projecting("", tmp_path).store for _ in range(2))
    with (
        first.writing(),
        pytest.raises(StoreInUseError, match="another worker writes"),
        second.writing(),
    ):
        pytest.fail("two write")
    with second.writing():
        pass


def test_postgresql_takes_many_writers(tmp_path: Path) -> None:
    first, second = (Projecting("postgresql://nowhere", tmp_path).store for _ in range(2))
    with first.writing(), second.writing():
        pass
