"""Large batches: written by another way than small ones, and while the next one is read."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from projections.catching_up import CatchUp
from projections.guard import KafkaRecord, Sifted, Standing, sift
from projections.live import LiveProjector
from projections.lookup.apply import MODEL as LOOKUP
from projections.topic import Reading
from tests.samples import events
from tests.support.list_topic import ListReading, ListTopic
from tests.support.projecting import PARTITIONS, Projecting

MANY = events.on_partitions(events.history(900), PARTITIONS)


async def test_a_large_batch_gives_the_rows_of_small_ones(
    projecting: Projecting, tmp_path_factory: pytest.TempPathFactory
) -> None:
    small = Projecting("", tmp_path_factory.mktemp("small"), MANY)
    small.topic.batch = 50
    await small.apply([])
    projecting.topic.add(MANY)
    projecting.topic.batch = len(MANY)
    await projecting.apply([])
    due = await small.dump()
    assert await projecting.dump() == due
    assert len(due["audit"]) >= 900
    # Again over all that is there: rows are replaced, lines of the trail stay as they are.
    for model in (LOOKUP,):
        await projecting.rebuild(model)
    assert await projecting.dump() == due


def test_what_is_not_wanted_moves_the_position_and_is_not_kept() -> None:
    start = {partition: Standing() for partition in range(PARTITIONS)}
    every = sift(start, MANY, trusted=True)
    some = sift(start, MANY, trusted=True, wanted=lambda record: record.event.id % 2 == 0)
    assert some.standings == every.standings
    assert some.records == [one for one in every.records if one[1].event.id % 2 == 0]
    assert 0 < len(some.records) < len(every.records)


class Overtaken(ListTopic):
    """A topic of which another worker takes all, whenever someone has begun to read it."""

    others = 0

    def __init__(self, projecting: Projecting) -> None:
        super().__init__(PARTITIONS, MANY, batch=100)
        self._projecting = projecting

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        """As the list's."""
        async with super().reading() as reading:
            bounds = reading.bounds

            async def overtaken(partitions: Collection[int]) -> dict[int, tuple[int, int]]:
                self.others += 1
                await self._projecting.live(LOOKUP).catch_up(partitions)
                return await bounds(partitions)

            reading.bounds = overtaken  # type: ignore[method-assign]
            yield reading


async def test_what_another_took_meanwhile_is_not_taken_again(projecting: Projecting) -> None:
    projecting.topic.add(MANY)
    live = projecting.live(LOOKUP)
    await live.apply(MANY[:10])
    topic = Overtaken(projecting)
    late = LiveProjector(LOOKUP, projecting.store, topic, projecting.letters)
    await late.catch_up(range(PARTITIONS))
    assert topic.others == 1
    assert await late.standings() == await live.standings()
    due = await projecting.rows(LOOKUP)
    await projecting.rebuild(LOOKUP)
    assert await projecting.rows(LOOKUP) == due
    await live.close()
    await late.close()


class Reached(Exception):  # noqa: N818 - what happened
    """The reading ended here."""


class Watched(ListReading):
    """A reading that tells when the second batch is asked for, and may fail then."""

    def __init__(self, topic: ListTopic, failing: bool) -> None:
        super().__init__(topic)
        self.ahead = asyncio.Event()
        self._failing = failing

    async def batches(self, starts, ends):  # type: ignore[no-untyped-def]
        """As the list's."""
        number = 0
        async for found in super().batches(starts, ends):
            number += 1
            if number == 2:
                self.ahead.set()
                # Lets the write begin that is to be under way.
                await asyncio.sleep(0)
                if self._failing:
                    raise Reached
            yield found


def catching_up(reading: Watched) -> CatchUp:
    """From the beginning of the list to its end."""
    bounds = {p: (0, len(held)) for p, held in reading._list.held.items()}
    return CatchUp(LOOKUP, reading, bounds, {p: Standing() for p in bounds}, None)


async def test_a_batch_is_written_while_the_next_is_read() -> None:
    reading = Watched(ListTopic(PARTITIONS, MANY, batch=100), failing=False)
    standings = {partition: Standing() for partition in range(PARTITIONS)}
    written: list[KafkaRecord] = []

    async def write(
        batch: Sequence[KafkaRecord], holes: Collection[int], expected: Mapping[int, Standing]
    ) -> Sifted:
        nonlocal standings
        assert expected == standings
        # Would wait for ever, were the next batch read only after this one is written.
        await reading.ahead.wait()
        sifted = sift(standings, batch, trusted=True, holes=holes)
        standings = sifted.standings
        written.extend(batch)
        return sifted

    await catching_up(reading).run(write)
    assert [r for r in written if r.partition == 1] == reading._list.held[1]
    assert len(written) == len(MANY)


async def test_a_reading_that_fails_leaves_no_write_under_way() -> None:
    reading = Watched(ListTopic(PARTITIONS, MANY, batch=100), failing=True)
    under_way: list[str] = []

    async def write(*_: object) -> Sifted:
        under_way.append("begun")
        try:
            return await asyncio.Future()
        finally:
            under_way.append("ended")

    with pytest.raises(Reached):
        await catching_up(reading).run(write)
    assert under_way == ["begun", "ended"]
