"""A large read model that is busy holds up nobody, and misses nothing."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from projections import unhurried
from projections.guard import BrokenChainError
from projections.trail.apply import AUDIT
from projections.unhurried import Unhurried
from tests.support.projecting import HALF, PARTITIONS, RECORDS, Projecting
from tests.support.read_models import Dump


@asynccontextmanager
async def held(projecting: Projecting) -> AsyncIterator[None]:
    """Hold the read model's positions: whoever writes waits."""
    name = projecting.store.live(AUDIT)
    assert name is not None
    generation = projecting.store.open(AUDIT, name, live=True)
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with generation.transaction(range(PARTITIONS)):
            holding.set()
            release.wait()

    thread = asyncio.create_task(asyncio.to_thread(hold))
    await asyncio.to_thread(holding.wait)
    try:
        yield
    finally:
        release.set()
        await thread
        generation.close()


@pytest.fixture
def impatient(halfway: Projecting, monkeypatch: pytest.MonkeyPatch) -> Unhurried:
    """The trail's read model, for which nobody waits at all."""
    monkeypatch.setattr(unhurried, "PATIENCE", 0)
    return Unhurried(halfway.live(AUDIT))


async def next_offsets(audit: Unhurried) -> dict[int, int]:
    """The offsets that it looks at next."""
    return {partition: at.next_offset for partition, at in (await audit.standings()).items()}


async def test_one_that_is_not_busy_does_as_it_is_told(
    halfway: Projecting, expected: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unhurried, "PATIENCE", 60)
    audit = Unhurried(halfway.live(AUDIT))
    await audit.apply(RECORDS[HALF:])
    assert (await halfway.dump())["audit"] == expected["audit"]
    assert await next_offsets(audit) == halfway.topic.ends
    assert not await audit.keep_up(halfway.topic.ends)
    await audit.close()


async def test_what_came_while_it_was_busy_is_read_later(
    halfway: Projecting, expected: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unhurried, "PATIENCE", 0.1)
    audit = Unhurried(halfway.live(AUDIT))
    async with held(halfway):
        await audit.apply(RECORDS[HALF : HALF + 3])
        await audit.apply(RECORDS[HALF + 3 : -1])
        assert (await audit.standings(), await audit.keep_up(halfway.topic.ends)) == ({}, False)
    while await next_offsets(audit) != halfway.topic.ends:
        await audit.keep_up(halfway.topic.ends)
    assert (await halfway.dump())["audit"] == expected["audit"]
    await audit.close()


async def test_what_ended_it_is_told_to_whoever_comes_next(
    halfway: Projecting, impatient: Unhurried
) -> None:
    lost = next(record for record in RECORDS[HALF:] if record.partition == 1)
    halfway.topic.held[1].remove(lost)
    await impatient.catch_up(range(PARTITIONS))

    async def keep_up_for_ever() -> None:
        while True:
            await impatient.keep_up(halfway.topic.ends)

    with pytest.raises(BrokenChainError, match="partition 1: the topic lacks what follows"):
        await keep_up_for_ever()
    await impatient.close()


async def test_closing_ends_what_is_under_way(
    halfway: Projecting, expected: Dump, impatient: Unhurried
) -> None:
    async with held(halfway):
        await impatient.apply(RECORDS[HALF:])
        closing = asyncio.create_task(impatient.close())
    await closing
    await halfway.apply(RECORDS[HALF:])
    assert await halfway.dump() == expected


async def test_settling_waits_for_what_is_under_way_and_no_longer_than_told(
    halfway: Projecting, expected: Dump, impatient: Unhurried
) -> None:
    async with held(halfway):
        await impatient.apply(RECORDS[HALF:])
        await impatient.settle(0)
        assert await impatient.standings() == {}
    await impatient.settle(60)
    assert (await halfway.dump())["audit"] == expected["audit"]
    await impatient.close()
