"""A read model of a process's own: it follows its topic, past any group."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from projections.guard import BrokenChainError, KafkaRecord
from projections.lookup.apply import MODEL as LOOKUP
from projections.readers import open_read_models
from projections.replica import LedgerChangedError, Replica
from tests.samples import events
from tests.support.list_topic import ListTopic
from tests.support.projecting import HALF, PARTITIONS, RECORDS, Projecting
from tests.support.read_models import end_of

SECONDS = 60.0


@pytest.fixture
def copied(tmp_path: Path) -> Projecting:
    """An empty SQLite store, and a topic with half of the records."""
    return Projecting("", tmp_path, RECORDS[:HALF])


def replica_of(copied: Projecting) -> Replica:
    """A replica of the lookup read model."""
    return Replica(LOOKUP, copied.store, copied.topic)


@asynccontextmanager
async def running(replica: Replica) -> AsyncIterator["asyncio.Task[None]"]:
    """The replica at work."""
    task = asyncio.create_task(replica.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, BrokenChainError, LedgerChangedError):
            await task


async def rows_at(copied: Projecting, records: list[KafkaRecord]) -> list[Any]:
    """All rows, once the position after these records is shown."""
    models = await open_read_models(copied.settings)
    try:
        assert await models.wait_for(LOOKUP.name, end_of(records), SECONDS)
    finally:
        await models.close()
    return await copied.rows(LOOKUP)


async def expected(tmp_path: Path, records: list[KafkaRecord]) -> list[Any]:
    """What a worker makes of these records."""
    fresh = Projecting("", tmp_path / f"expected-{len(records)}", records)
    await fresh.apply([])
    return await fresh.rows(LOOKUP)


async def test_it_shows_what_there_was_and_then_what_comes(
    copied: Projecting, tmp_path: Path
) -> None:
    replica = replica_of(copied)
    assert (replica.is_current, replica.source) == (False, "")
    async with running(replica):
        await replica.reached.wait()
        assert (replica.is_current, replica.behind) == (True, 0)
        assert (replica.source, replica.partitions) == (events.SOURCE, PARTITIONS)
        assert await rows_at(copied, RECORDS[:HALF]) == await expected(tmp_path, RECORDS[:HALF])
        copied.topic.add(RECORDS[HALF:])
        assert await rows_at(copied, RECORDS) == await expected(tmp_path, RECORDS)


async def test_begun_again_it_goes_on_where_it_was(copied: Projecting, tmp_path: Path) -> None:
    async with running(first := replica_of(copied)):
        await first.reached.wait()
    copied.topic.add(RECORDS[HALF:])
    name = copied.store.live(LOOKUP)
    async with running(second := replica_of(copied)):
        await second.reached.wait()
        assert await copied.rows(LOOKUP) == await expected(tmp_path, RECORDS)
    assert copied.store.live(LOOKUP) == name


async def test_an_empty_topic_is_reached_and_tells_no_ledger_before_its_first_event(
    tmp_path: Path,
) -> None:
    copied = Projecting("", tmp_path)
    replica = replica_of(copied)
    async with running(replica):
        await replica.reached.wait()
        assert not replica.known.is_set()
        copied.topic.add(RECORDS)
        await replica.known.wait()
        assert replica.source == events.SOURCE


async def test_a_record_that_is_no_event_is_passed_by_and_left_to_the_workers_to_park(
    copied: Projecting, caplog: pytest.LogCaptureFixture
) -> None:
    copied.topic.add([KafkaRecord(0, 0, b"key", b"planted-7d2c", ())])
    copied.topic.add(RECORDS[HALF:])
    replica = replica_of(copied)
    with caplog.at_level(logging.ERROR):
        async with running(replica):
            await replica.reached.wait()
    at = len([one for one in RECORDS[:HALF] if one.partition == 0])
    assert f"lookup passes device-ledger.events.v1/0/{at} by: no header prev" in caplog.text
    assert "planted" not in caplog.text
    assert copied.letters.letters == []


async def test_a_topic_that_lacks_an_event_ends_it(copied: Projecting) -> None:
    replica = replica_of(copied)
    async with running(replica) as task:
        await replica.reached.wait()
        lost = RECORDS[HALF]
        copied.topic.add([one for one in RECORDS[HALF + 1 :] if one.partition == lost.partition])
        with pytest.raises(BrokenChainError, match="the topic lacks what follows"):
            await task


async def test_another_ledgers_events_end_it(copied: Projecting) -> None:
    replica = replica_of(copied)
    async with running(replica) as task:
        await replica.reached.wait()
        copied.topic.remake()
        others = [one._replace(source=events.SOURCE + "0") for one in events.history(24)]
        copied.topic.add(events.on_partitions(others, PARTITIONS))
        with pytest.raises(LedgerChangedError, match="another ledger or epoch"):
            await task


async def test_a_topic_that_is_not_there_is_waited_for(
    copied: Projecting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    there = asyncio.Event()
    partitions = ListTopic.partitions

    async def asked(topic: ListTopic) -> int:
        if there.is_set():
            return await partitions(topic)
        there.set()
        raise ConnectionError

    monkeypatch.setattr(ListTopic, "partitions", asked)
    replica = replica_of(copied)
    async with running(replica):
        await replica.reached.wait()
    assert "waiting: Kafka can't be reached: ConnectionError" in caplog.text
