"""What the relay tells of its progress: true when it is told, and as far as there is."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from device_ledger.cli.child import Child
from device_ledger.ledger.ledger import Ledger
from device_ledger.settings import Settings
from device_ledger.wire.progress import Progress, decode
from device_ledger.wire.topics import PROGRESS
from tests.support.published import published, without_topics
from tests.support.relaying import relay, write
from tests.support.topic_check import stored_events


@pytest.fixture
async def servers(kafka: str) -> str:
    await without_topics(kafka)
    return kafka


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings)
    yield ledger
    ledger.close()


@asynccontextmanager
async def told(servers: str) -> AsyncIterator[AIOKafkaConsumer]:
    """What is told from now on."""
    consumer = AIOKafkaConsumer(PROGRESS, bootstrap_servers=servers, auto_offset_reset="latest")
    await consumer.start()
    try:
        await consumer.seek_to_end()
        yield consumer
    finally:
        await consumer.stop()


async def until(consumer: AIOKafkaConsumer, position: int, recorded: str) -> Progress:
    """The first progress that covers an event."""
    async with asyncio.timeout(60):
        async for record in consumer:
            progress = decode(record.value)
            if progress.position >= position and progress.through >= recorded:
                return progress
    raise AssertionError


async def test_progress_covers_an_event_once_it_is_published_and_goes_on_when_idle(
    ledger: Ledger, settings: Settings, servers: str
) -> None:
    write(ledger, 30)
    child: Child = relay(settings, servers)
    child.start()
    try:
        await asyncio.to_thread(child.wait_until_ready)
        async with told(servers) as consumer:
            for _ in range(2):
                write(ledger, 700)
                newest = stored_events(ledger.events)[-1]
                recorded: str = orjson.loads(newest.state)["time"]
                progress = await until(consumer, newest.id, recorded)
                assert progress.position == newest.id
                # All of it is there already: nothing is waited for.
                found = await published(servers, {}, ledger.identity.partitions)
                ids = [one.record.event.id for records in found.values() for one in records]
                assert sorted(set(ids)) == [one.id for one in stored_events(ledger.events)]
            later = await until(consumer, newest.id, f"{progress.through[:-1]}1Z")
            assert later.position == newest.id
    finally:
        child.stop()
