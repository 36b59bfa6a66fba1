"""The relay after a restore: it refuses an older copy, and goes on once an epoch has begun."""

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from device_ledger.ledger.epochs import begin_epoch, epochs_of
from device_ledger.ledger.ledger import EventStore, Ledger, utc_now
from device_ledger.proofs import Checkpoint, Signer, open_checkpoint
from device_ledger.settings import Settings
from device_ledger.trees.names import ensure_log_key, name_of_epoch, signer_of
from device_ledger.trees.store import TreeStore
from device_ledger.wire.topics import EVENTS
from device_ledger.wire.trail import EVENTS_LOG
from tests.conftest import AnyStore
from tests.support.events_topic import records_of
from tests.support.logs import event_leaves, notes, signed_up_to, signer, wrong
from tests.support.older_copy import forget_after
from tests.support.published import published, without_topics
from tests.support.relaying import relay, running, write
from tests.support.topic_check import problems, stored_events


@pytest.fixture
async def servers(kafka: str) -> str:
    await without_topics(kafka)
    return kafka


@pytest.fixture
def settings(any_store: AnyStore) -> Settings:
    chosen = Settings(home=any_store.home, event_store_url=SecretStr(any_store.url))
    ensure_log_key(chosen)
    return chosen


def written(settings: Settings, count: int) -> int:
    """Link so many devices; the last id then."""
    ledger = Ledger.open(settings)
    write(ledger, count)
    last_id = ledger.events.store.max_notification_id()
    ledger.close()
    return last_id or 0


def lowest_head(settings: Settings) -> int:
    """The last id of the partition that is behind the others."""
    events = EventStore.open(settings)
    heads = events.store.heads()
    events.close()
    assert len(heads) == events.identity.partitions
    return min(heads.values())


def restored(settings: Settings) -> None:
    """Go on from what there is."""
    events = EventStore.open(settings)
    begin_epoch(events, events.identity.epoch + 1, "restored from a copy", utc_now())
    events.close()


@dataclass
class Opened:
    """What is there to be compared."""

    settings: Settings
    servers: str

    async def problems(self) -> list[str]:
        """Where the topic differs from the event store."""
        events = EventStore.open(self.settings)
        try:
            partitions = events.identity.partitions
            found = await published(self.servers, events.store.heads(), partitions)
            return problems(stored_events(events), found, partitions)
        finally:
            events.close()

    async def settled(self) -> None:
        """Return once the topic is as the event store is."""
        async with asyncio.timeout(60):
            while await self.problems():  # noqa: ASYNC110 - Kafka gives no event
                await asyncio.sleep(0.1)


async def refusal(settings: Settings, servers: str) -> str:
    child = relay(settings, servers)
    child.start()
    assert await asyncio.to_thread(child.wait, 60) == 1
    return child.last_words()


async def test_a_store_that_is_an_older_copy_is_refused_until_an_epoch_begins(
    settings: Settings, servers: str
) -> None:
    opened = Opened(settings, servers)
    kept = written(settings, 60)
    ended = written(settings, 40)
    async with running(settings, servers):
        await opened.settled()
    before = [json.loads(one.value or b"") for one in await records_of(servers, EVENTS)]
    forget_after(settings, kept)
    assert "is ahead of the event store" in (told := await refusal(settings, servers))
    assert "`device-ledger restore`" in told
    # Ids of events that were lost are given to others meanwhile, in each partition.
    while lowest_head(settings) < ended:
        written(settings, 20)
    assert "has another event than the event store" in await refusal(settings, servers)
    forget_after(settings, kept)
    restored(settings)
    written(settings, 30)
    async with running(settings, servers) as child:
        await opened.settled()
        assert "80 events were lost by the restore" in child.log.read_text()
    [file] = (settings.home / "lost").iterdir()
    lost = [json.loads(line) for line in file.read_text().splitlines()]
    assert sorted(lost, key=lambda one: int(one["id"])) == sorted(
        (one for one in before if int(one["id"]) > kept), key=lambda one: int(one["id"])
    )
    # Done again, nothing is lost any more.
    async with running(settings, servers):
        written(settings, 5)
        assert await opened.problems() == []
    assert len(list((settings.home / "lost").iterdir())) == 1


async def test_a_store_that_lost_nothing_goes_on_where_the_topic_ends(
    settings: Settings, servers: str
) -> None:
    opened = Opened(settings, servers)
    written(settings, 50)
    async with running(settings, servers):
        await opened.settled()
    before = await records_of(servers, EVENTS)
    restored(settings)
    written(settings, 10)
    async with running(settings, servers):
        assert await opened.problems() == []
    now = await records_of(servers, EVENTS)
    assert [one for one in now if one in before] == before
    events = EventStore.open(settings)
    assert len(now) - len(before) == events.identity.partitions + 20
    assert not (settings.home / "lost").exists()
    events.close()


async def test_the_tree_of_an_epoch_extends_what_was_signed_and_not_lost_and_is_a_log_of_its_own(
    settings: Settings, servers: str
) -> None:
    kept = written(settings, 600)
    events = EventStore.open(settings)
    first = signer(settings, events)
    events.close()
    async with running(settings, servers):
        before = await signed_up_to(servers, first, 1_200)
        written(settings, 100)
        before = await signed_up_to(servers, first, 1_400)
    forget_after(settings, kept)
    restored(settings)
    written(settings, 20)
    events = EventStore.open(settings)
    second = signer_of(settings, events.identity.ledger_id, EVENTS_LOG, 2)
    assert second is not None
    leaves = event_leaves(events)
    size = 1_200 + 8 + 40
    async with running(settings, servers):
        found = await of_epoch(servers, second, size)
    assert [one.size for one in found] == [size]
    assert wrong(found, leaves) == []
    # Whoever kept a checkpoint of what is there still can go on from it.
    assert [one.size for one in before if one.size <= 1_200 and not wrong([one], leaves)] == [
        one.size for one in before if one.size <= 1_200
    ]
    trees = TreeStore.open(settings)
    kept_of_first = trees.checkpoints(name_of_epoch(EVENTS_LOG, 1))
    assert [one.size for one in kept_of_first] == [one.size for one in before]
    assert trees.verifier(EVENTS_LOG) == str(second.verifier)
    trees.close()
    events.close()


async def of_epoch(servers: str, signed_by: Signer, size: int) -> list[Checkpoint]:
    """The checkpoints that a signer put on the topic, once there is one of this size."""
    async with asyncio.timeout(60):
        while True:
            found = [
                open_checkpoint(note, [signed_by.verifier])
                for note in await notes(servers)
                if signed_by.verifier.name in note
            ]
            if found and found[-1].size >= size:
                return found
            await asyncio.sleep(0.2)


async def test_a_store_that_differs_from_what_was_signed_is_not_signed_by_a_new_epoch_either(
    tmp_path: Path, servers: str
) -> None:
    settings = Settings(home=tmp_path)
    ensure_log_key(settings)
    written(settings, 600)
    events = EventStore.open(settings)
    first = signer(settings, events)
    events.close()
    async with running(settings, servers):
        await signed_up_to(servers, first, 1_200)
    with closing(sqlite3.connect(settings.home / "ledger" / "events.db")) as database:
        database.execute(
            "UPDATE stored_events SET state = CAST(replace(state, 'bank-a', 'bank-b') AS BLOB)"
            " WHERE rowid = 41"
        )
        database.commit()
    restored(settings)
    assert "is not the one that was signed at 1200 leaves" in await refusal(settings, servers)


def test_an_epochs_ids_are_above_all_before_and_tell_what_was_kept(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    kept = written(settings, 10)
    restored(settings)
    events = EventStore.open(settings)
    epochs = epochs_of(events)
    heads = {p: head for p, head in epochs.kept[1].items() if head}
    assert (epochs.now, max(heads.values()), epochs.kept_up_to(1)) == (2, kept - 2, kept - 2)
    assert min(events.store.heads().values()) == (1 << 40) + 1
    [partition, *_] = heads
    assert epochs.keeps(1, partition, heads[partition])
    assert not epochs.keeps(1, partition, heads[partition] + 1)
    assert epochs.keeps(2, partition, (1 << 40) + 9)
    assert [epochs.count_up_to(one) for one in (kept - 2, (1 << 40) + 1)] == [kept - 2, kept - 1]
    events.close()
