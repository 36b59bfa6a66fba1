"""A rebuild: never a step back, and nothing left behind."""

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest

from projections.guard import KafkaRecord
from projections.lookup.apply import MODEL as LOOKUP
from projections.rebuild import RebuildError
from projections.store import GenerationGoneError, StoreInUseError
from tests.samples import events
from tests.support.projecting import PARTITIONS, Projecting
from tests.support.read_models import EVENT_MODELS

RECORDS = events.on_partitions(events.history(12), PARTITIONS)


class Killed(Exception):  # noqa: N818 - what happened
    """A rebuild ended here."""


@pytest.fixture
async def built(projecting: Projecting) -> Projecting:
    """Read models that hold all records."""
    projecting.topic.add(RECORDS)
    await projecting.apply([])
    return projecting


async def test_a_topic_that_holds_less_than_is_shown_is_refused(built: Projecting) -> None:
    before, name = await built.dump(), built.store.live(LOOKUP)
    built.topic.remake()
    built.topic.add(RECORDS[:7])
    with pytest.raises(RebuildError, match="holds less than the live read model shows"):
        await built.rebuild(LOOKUP)
    assert (await built.dump(), built.store.live(LOOKUP)) == (before, name)


async def test_what_a_killed_rebuild_left_is_removed_by_the_next(built: Projecting) -> None:
    for model in EVENT_MODELS:
        with built.store.building(model):
            left = built.store.create(model, PARTITIONS)
        await built.rebuild(model)
        live = built.store.live(model)
        assert live not in {left, None}
        with pytest.raises(GenerationGoneError):
            built.store.open(model, left, live=False).standings()


async def test_two_rebuilds_at_once_are_one_too_many(built: Projecting) -> None:
    with (
        built.store.building(LOOKUP),
        pytest.raises(StoreInUseError, match="lookup is being rebuilt already"),
    ):
        await built.rebuild(LOOKUP)
    await built.rebuild(LOOKUP)


async def test_the_next_rebuild_may_begin_before_the_server_sees_the_last_ones_end(
    built: Projecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list[psycopg.Connection[Any]]()

    def keep(connection: psycopg.Connection[Any]) -> None:
        left.append(connection)

    monkeypatch.setattr(psycopg.Connection, "close", keep)
    for _ in range(2):
        with built.store.building(LOOKUP):
            pass
    monkeypatch.undo()
    for connection in left:
        connection.close()


async def test_a_rebuild_that_fails_midway_leaves_the_live_one(
    built: Projecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail at step 1, 2, 3 … until it passes untouched; each time the live one serves on."""
    before = await built.dump()
    kind = type(built.store)
    steps = {name: getattr(kind, name) for name in ("create", "open", "point", "remove_others")}
    failing_at, failed = 0, True
    while failed:
        left = failing_at

        def step(name: str) -> object:
            def run(*arguments: object, **named: object) -> object:
                nonlocal left
                left -= 1
                if left == -1:
                    raise Killed(name)
                return steps[name](*arguments, **named)

            return run

        for name in steps:
            monkeypatch.setattr(kind, name, step(name))
        try:
            await built.rebuild(LOOKUP)
            failed = False
        except Killed:
            failing_at += 1
        monkeypatch.undo()
        assert await built.dump() == before
    assert failing_at == 7


async def test_a_worker_goes_on_through_a_rebuild(built: Projecting, tmp_path: Path) -> None:
    worker = built.live(LOOKUP)
    await worker.standings()
    later = events.on_partitions(
        events.history(12) + events.history(9, first_id=900, bank="bank-b"), PARTITIONS
    )[len(RECORDS) :]

    async def write() -> None:
        for record in later:
            built.topic.add([record])
            await worker.apply([record])

    await asyncio.gather(write(), built.rebuild(LOOKUP))
    await worker.close()
    fresh = Projecting(
        "", tmp_path / "fresh", [r for held in built.topic.held.values() for r in held]
    )
    await fresh.apply([])
    assert await built.rows(LOOKUP) == await fresh.rows(LOOKUP)


async def test_a_rebuild_parks_nothing_that_was_parked_before(built: Projecting) -> None:
    unfit = events.linked(2_000, device=events.DEVICE)
    del unfit.data["customerId"]
    [record] = events.on_partitions([unfit], PARTITIONS)
    last_id = (await built.live(LOOKUP).standings())[record.partition].last_id
    noise = KafkaRecord(0, 0, None, b"no event", ())
    built.topic.add([noise, record._replace(headers=(("prev", str(last_id).encode()),))])
    worker = built.live(LOOKUP)
    await worker.catch_up(range(PARTITIONS))
    await worker.close()
    parked = list(built.letters.letters)
    before = await built.rows(LOOKUP)
    await built.rebuild(LOOKUP)
    assert len(parked) == 2
    assert (built.letters.letters, await built.rows(LOOKUP)) == (parked, before)


async def test_changed_tables_are_built_anew_while_the_old_ones_serve(
    built: Projecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, old = await built.dump(), built.store.live(LOOKUP)
    todays = type(LOOKUP).schema
    monkeypatch.setattr(type(LOOKUP), "schema", lambda *of: todays(*of) + "\n-- another version\n")
    assert built.store.live(LOOKUP) is None
    with built.store.building(LOOKUP):
        built.store.remove_others(LOOKUP)
    assert await built.dump() == before
    worker = built.live(LOOKUP)
    await worker.standings()
    await worker.close()
    assert built.store.live(LOOKUP) not in {old, None}
    assert await built.dump() == before
