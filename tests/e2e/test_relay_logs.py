"""The relay's trees and checkpoints on a real Kafka: what is signed is what there is, and stays."""

import asyncio
import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from device_ledger.ledger.ledger import Ledger
from device_ledger.proofs import sign_checkpoint
from device_ledger.settings import Settings
from device_ledger.trees.names import ensure_log_key
from device_ledger.trees.store import TreeStore
from device_ledger.wire import access
from device_ledger.wire.access import DEVICE_LOOKED_UP, AccessRecord
from device_ledger.wire.topics import ACCESS, CHECKPOINTS, ensure_topics
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from tests.conftest import AnyStore
from tests.support.events_topic import make_topics, remove
from tests.support.logs import (
    access_leaves,
    checkpoints,
    event_leaves,
    notes,
    signed_up_to,
    signer,
    wrong,
)
from tests.support.published import without_topics
from tests.support.relaying import relay, running, write


@pytest.fixture
async def servers(kafka: str) -> str:
    await without_topics(kafka)
    await ensure_topics(kafka, partitions=8, replication_factor=1)
    return kafka


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    chosen = Settings(home=tmp_path)
    ensure_log_key(chosen)
    return chosen


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings)
    yield ledger
    ledger.close()


def lookup(number: int) -> bytes:
    """A line of the access topic."""
    ref = f"019a0000-0000-7000-8000-{number:012d}"
    data = {"outcome": "found", "requestId": "r", "bankId": "bank-a"}
    return access.encode(
        AccessRecord(ref, "api", DEVICE_LOOKED_UP, "token", "2026-01-31T09:30:00.000Z", data)
    )


async def look_up(servers: str, *flushes: range) -> None:
    """Write a Kafka record for each flush."""
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for flush in flushes:
            value = access.join([lookup(number) for number in flush])
            await producer.send_and_wait(ACCESS, value, partition=0)


async def test_what_was_there_before_and_what_comes_is_signed_every_thousand_leaves(
    any_store: AnyStore, servers: str
) -> None:
    settings = Settings(home=any_store.home, event_store_url=SecretStr(any_store.url))
    ensure_log_key(settings)
    ledger = Ledger.open(settings)
    write(ledger, 1_300)
    key = signer(settings, ledger.events)
    async with running(settings, servers):
        await signed_up_to(servers, key, 2_600)
        write(ledger, 20)
        found = await signed_up_to(servers, key, 2_640)
    assert wrong(found, event_leaves(ledger.events)) == []
    steps = [b.size - a.size for a, b in itertools.pairwise(found)]
    assert max([found[0].size, *steps]) <= 1_000
    store = TreeStore.open(settings)
    assert [one.note for one in store.checkpoints(EVENTS_LOG)] == await notes(servers)
    assert store.verifier(EVENTS_LOG) == str(key.verifier)
    store.close()
    ledger.close()


async def test_the_access_log_is_followed_line_by_line_with_its_repeats(
    ledger: Ledger, settings: Settings, servers: str
) -> None:
    key = signer(settings, ledger.events, ACCESS_LOG)
    await look_up(servers, range(1), range(1, 700), range(700, 1_500))
    async with running(settings, servers):
        await signed_up_to(servers, key, 1_500, ACCESS_LOG)
    await look_up(servers, range(10), range(1_500, 1_510))
    async with running(settings, servers):
        found = await signed_up_to(servers, key, 1_520, ACCESS_LOG)
    assert wrong(found, await access_leaves(servers)) == []
    store = TreeStore.open(settings)
    assert store.leaf_of(ACCESS_LOG, access.decode(lookup(5)).id) == (5, "bank-a")
    assert store.leaf_of(ACCESS_LOG, access.decode(lookup(1_505)).id) == (1_515, "bank-a")
    store.close()


async def test_a_relay_that_is_killed_at_any_moment_signs_one_growing_tree(
    ledger: Ledger, settings: Settings, servers: str
) -> None:
    key = signer(settings, ledger.events)
    for patience in (0.0, 0.1, 0.3, 0.6, 1.0):
        child = relay(settings, servers)
        child.start()
        await asyncio.to_thread(child.wait_until_ready)
        writing = asyncio.create_task(asyncio.to_thread(write, ledger, 400))
        await asyncio.wait([writing], timeout=patience)
        child.kill()
        await writing
    async with running(settings, servers):
        found = await signed_up_to(servers, key, 4_000)
    assert wrong(found, event_leaves(ledger.events)) == []


async def test_trees_that_were_lost_are_built_anew_and_signed_from_where_they_were(
    ledger: Ledger, settings: Settings, servers: str
) -> None:
    key = signer(settings, ledger.events)
    write(ledger, 600)
    async with running(settings, servers):
        before = await signed_up_to(servers, key, 1_200)
    for file in (settings.home / "log").iterdir():
        file.unlink()
    write(ledger, 5)
    async with running(settings, servers):
        found = await signed_up_to(servers, key, 1_210)
    assert found[: len(before)] == before
    assert [one.size for one in found[len(before) :]] == [1_210]
    assert wrong(found, event_leaves(ledger.events)) == []


async def test_without_a_key_the_trees_grow_and_nothing_is_signed(
    servers: str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path)
    ledger = Ledger.open(settings)
    write(ledger, 30)
    store = TreeStore.open(settings)
    # The relay makes the same; asked in between, there would be a file without tables.
    store.prepare()
    async with running(settings, servers) as child, asyncio.timeout(200):
        while store.standing(EVENTS_LOG).size < 60:  # noqa: ASYNC110 - it is a file of another
            await asyncio.sleep(0.1)
    assert "no log key: checkpoints are not signed" in child.log.read_text()
    assert (await notes(servers), store.newest_checkpoint(EVENTS_LOG)) == ([], None)
    store.close()
    ledger.close()


async def refusal(settings: Settings, servers: str) -> str:
    """The last words of a relay that refuses."""
    child = relay(settings, servers)
    child.start()
    assert await asyncio.to_thread(child.wait, 60) == 1
    return child.last_words()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            (
                "UPDATE stored_events SET state = CAST(replace(state, 'bank-a', 'bank-b') AS BLOB)"
                " WHERE rowid = (SELECT min(rowid) FROM stored_events"
                " WHERE topic = 'device.linked.v1')"
            ),
            "is not what the tree of the events log has",
        ),
        (
            (
                "DELETE FROM stored_events WHERE rowid = (SELECT min(rowid) FROM stored_events"
                " WHERE topic = 'device.linked.v1')"
            ),
            "the event store lacks some of them",
        ),
        (
            (
                "DELETE FROM stored_events WHERE rowid = (SELECT max(rowid) FROM stored_events"
                " WHERE topic = 'device.linked.v1')"
            ),
            "has another event than the event store",
        ),
    ],
)
async def test_events_that_are_not_those_of_the_tree_are_refused(
    settings: Settings, servers: str, change: str, words: str
) -> None:
    ledger = Ledger.open(settings)
    write(ledger, 100)
    key = signer(settings, ledger.events)
    async with running(settings, servers):
        signed = await signed_up_to(servers, key, 200)
    ledger.close()
    with closing(sqlite3.connect(settings.home / "ledger" / "events.db")) as database:
        assert database.execute(change).rowcount == 1
        database.commit()
    assert words in await refusal(settings, servers)
    assert await checkpoints(servers, key) == signed


async def test_a_tree_that_is_not_the_one_that_was_signed_is_refused(
    ledger: Ledger, settings: Settings, servers: str
) -> None:
    write(ledger, 400)
    key = signer(settings, ledger.events)
    async with running(settings, servers):
        await signed_up_to(servers, key, 800)
    with closing(sqlite3.connect(settings.home / "log" / "tree.db")) as database:
        database.execute(
            "UPDATE log_tiles SET hashes = zeroblob(length(hashes)) WHERE level = 1 AND log = ?",
            (EVENTS_LOG,),
        )
        database.commit()
    assert "is not the one that was signed at 800 leaves" in await refusal(settings, servers)


async def test_a_checkpoint_on_the_topic_that_is_of_another_tree_is_refused(
    ledger: Ledger, settings: Settings, servers: str
) -> None:
    write(ledger, 100)
    key = signer(settings, ledger.events)
    async with running(settings, servers):
        [*_, last] = await signed_up_to(servers, key, 200)
    forged = sign_checkpoint(replace(last, root=bytes(32)), [key])
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        await producer.send_and_wait(CHECKPOINTS, forged.encode(), key=b"events", partition=0)
    assert "two trees were signed with one key" in await refusal(settings, servers)


async def test_an_access_topic_that_was_made_anew_stops_its_log_and_not_the_relaying(
    ledger: Ledger, settings: Settings, servers: str
) -> None:
    key = signer(settings, ledger.events, ACCESS_LOG)
    await look_up(servers, range(10), range(10, 20))
    async with running(settings, servers):
        signed = await signed_up_to(servers, key, 20, ACCESS_LOG)
    await remove(servers, ACCESS)
    await make_topics(servers, 1, ACCESS)
    await look_up(servers, range(30, 40), range(40, 50), range(50, 60))
    write(ledger, 50)
    async with running(settings, servers) as child:
        await signed_up_to(servers, signer(settings, ledger.events), 100)
        async with asyncio.timeout(60):
            while "was made anew or changed" not in child.log.read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    assert await checkpoints(servers, key, ACCESS_LOG) == signed
