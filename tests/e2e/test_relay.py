"""The relay on a real Kafka: every event once after dropping repeats, in order, whatever dies."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from device_ledger.ledger.ledger import Ledger
from device_ledger.relay import lease
from device_ledger.relay.relay import run_relay
from device_ledger.settings import Settings
from device_ledger.wire.codec import CONTENT_TYPE_HEADER
from device_ledger.wire.topics import EVENTS
from tests.conftest import AnyStore
from tests.support.events_topic import empty, records_of, remake
from tests.support.published import published, without_topics
from tests.support.relaying import relay, running, write
from tests.support.seed import SEED
from tests.support.topic_check import problems, stored_events


@pytest.fixture
async def servers(kafka: str) -> str:
    await without_topics(kafka)
    return kafka


@pytest.fixture
def settings(any_store: AnyStore) -> Settings:
    return Settings(home=any_store.home, event_store_url=SecretStr(any_store.url))


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings)
    yield ledger
    ledger.close()


async def topic_problems(ledger: Ledger, servers: str, within: float = 60.0) -> list[str]:
    partitions = ledger.identity.partitions
    records = await published(servers, ledger.heads(), partitions, within)
    return problems(stored_events(ledger.events), records, partitions)


async def test_every_event_is_published_once_and_in_order(
    ledger: Ledger, settings: Settings, servers: str
) -> None:
    write(ledger, 100)
    async with running(settings, servers):
        write(ledger, 100)
        assert await topic_problems(ledger, servers) == []
        records = await published(servers, ledger.heads(), ledger.identity.partitions)
        described = [one.headers[1:] for one in await records_of(servers, EVENTS)]
    assert described == [(CONTENT_TYPE_HEADER,)] * 400
    assert sum(map(len, records.values())) == len(stored_events(ledger.events)) == 400
    for one in (one for found in records.values() for one in found):
        assert one.key.decode() == one.record.event.subject


@pytest.mark.parametrize("seed", [SEED], ids="seed={}".format)
async def test_a_relay_that_is_killed_at_any_moment_loses_and_reorders_nothing(
    ledger: Ledger, settings: Settings, servers: str, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(6):
        child = relay(settings, servers)
        child.start()
        await asyncio.to_thread(child.wait_until_ready)
        writing = asyncio.create_task(asyncio.to_thread(write, ledger, 150))
        await asyncio.wait([writing], timeout=chance.uniform(0.0, 0.3))
        child.kill()
        await writing
    async with running(settings, servers):
        assert await topic_problems(ledger, servers) == []


async def test_another_relay_waits_for_the_lease_and_takes_over(
    ledger: Ledger, settings: Settings, servers: str
) -> None:
    first = relay(settings, servers)
    first.start()
    await asyncio.to_thread(first.wait_until_ready)
    second = relay(settings, servers)
    second.start()
    try:
        write(ledger, 20)
        assert await topic_problems(ledger, servers) == []
        assert not second.is_ready()
        first.kill()
        await asyncio.to_thread(second.wait_until_ready)
        write(ledger, 20)
        assert await topic_problems(ledger, servers) == []
    finally:
        first.kill()
        second.stop()


async def test_two_relays_at_once_repeat_events_but_lose_and_reorder_none(
    ledger: Ledger, settings: Settings, servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = lease.take_lease
    homes = iter(range(1_000))

    def a_lease_that_does_not_hold(chosen: Settings) -> object:
        elsewhere = chosen.home / f"elsewhere-{next(homes)}"
        (elsewhere / "ledger").mkdir(parents=True)
        (elsewhere / "ledger" / "events.db").symlink_to(chosen.home / "ledger" / "events.db")
        return taken(Settings(home=elsewhere))

    monkeypatch.setattr("device_ledger.relay.relay.take_lease", a_lease_that_does_not_hold)
    (settings.home / "ledger").mkdir(exist_ok=True)
    write(ledger, 300)
    ready = [asyncio.Event(), asyncio.Event()]
    both = [asyncio.create_task(run_relay(settings, servers, one.set)) for one in ready]
    for one in ready:
        await one.wait()
    await asyncio.to_thread(write, ledger, 300)
    assert await topic_problems(ledger, servers) == []
    for task in both:
        task.cancel()
    await asyncio.gather(*both, return_exceptions=True)
    async with running(settings, servers):
        assert await topic_problems(ledger, servers) == []


async def test_a_topic_that_was_recreated_is_filled_from_the_start(
    ledger: Ledger, settings: Settings, servers: str
) -> None:
    partitions = ledger.identity.partitions
    async with running(settings, servers):
        write(ledger, 50)
        assert await topic_problems(ledger, servers) == []
        await remake(servers, partitions)
        write(ledger, 50)
        # Until the relay sees it, what comes next goes to the new topic, and is then removed.
        async with asyncio.timeout(60):
            while await topic_problems(ledger, servers):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
async def test_a_topic_that_loses_its_first_records_is_filled_from_the_start(
    ledger: Ledger, settings: Settings, servers: str, busy: bool
) -> None:
    partitions = ledger.identity.partitions
    while len(ledger.heads()) < partitions:  # by chance a partition has none of the first 50
        write(ledger, 50)
    async with running(settings, servers):
        assert await topic_problems(ledger, servers) == []
        await empty(servers, partitions, before=1)
        async with asyncio.timeout(60):
            while not await is_mended(ledger, servers):
                if busy:
                    await asyncio.to_thread(write, ledger, 1)


async def is_mended(ledger: Ledger, servers: str) -> bool:
    """Whether the topic has all; who was reading while it was emptied never comes to its end."""
    try:
        return await topic_problems(ledger, servers, within=5.0) == []
    except TimeoutError:
        return False


async def test_a_topic_that_is_ahead_of_the_store_is_refused(
    settings: Settings, servers: str, tmp_path: Path
) -> None:
    ledger = Ledger.open(settings)
    write(ledger, 30)
    async with running(settings, servers):
        assert await topic_problems(ledger, servers) == []
    with_nothing = "DELETE FROM partition_heads"
    forget(ledger, with_nothing)
    ledger.close()
    child = relay(settings, servers)
    child.start()
    assert await asyncio.to_thread(child.wait, 60) == 1
    assert "is ahead of the event store" in child.last_words()


def forget(ledger: Ledger, statement: str) -> None:
    """Make the store look like an older copy."""
    with ledger.events.recorder.datastore.transaction(commit=True) as cursor:  # type: ignore[attr-defined]
        cursor.execute(statement)


async def test_the_topic_of_another_ledger_is_refused(
    ledger: Ledger, settings: Settings, servers: str, tmp_path: Path
) -> None:
    write(ledger, 5)
    async with running(settings, servers):
        assert await topic_problems(ledger, servers) == []
    other = Settings(home=tmp_path / "other")
    Ledger.open(other).close()
    child = relay(other, servers)
    child.start()
    assert await asyncio.to_thread(child.wait, 60) == 1
    assert "holds the events of another ledger" in child.last_words()
