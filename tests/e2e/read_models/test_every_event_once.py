"""The real worker on a real Kafka: every event takes effect once, whatever befalls it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from device_ledger.settings import Settings
from device_ledger.wire.topics import EVENTS
from device_ledger.wire.trail import entry_of_event
from projections.guard import KafkaRecord
from projections.links.queries import Filter, page
from projections.readers import open_read_models
from projections.topic import GROUP
from tests.conftest import AnyStore
from tests.samples import events
from tests.support import events_topic
from tests.support.read_models import Dump, dump_of, end_of, until_shown
from tests.support.workers import (
    END,
    HALF,
    PARTITIONS,
    RECORDS,
    Running,
    send_slowly,
    started,
)


async def test_what_is_sent_is_shown(running: Running, expected: Dump) -> None:
    await running.send(RECORDS)
    assert await running.shown(END) == expected


async def test_a_worker_killed_again_and_again_loses_and_repeats_nothing(
    running: Running, expected: Dump
) -> None:
    sending = asyncio.create_task(send_slowly(running, RECORDS))
    for part in (0.2, 0.4, 0.6, 0.8):
        await until_shown(running.settings, end_of(RECORDS[: int(part * len(RECORDS))]))
        await asyncio.to_thread(running.worker.kill)
        running.worker.start()
    await sending
    assert await running.shown(END) == expected


async def test_lost_databases_are_built_anew_while_it_runs(
    running: Running, expected: Dump
) -> None:
    await running.send(RECORDS[:HALF])
    await running.shown(end_of(RECORDS[:HALF]))
    running.lose_databases()
    await running.send(RECORDS[HALF:])
    assert await running.shown(END) == expected
    running.lose_databases()
    # Nothing more is sent: the worker finds out by itself.
    assert await running.shown(END) == expected


async def test_offsets_of_the_group_that_lie_are_not_believed(
    servers: str, tmp_path: Path, expected: Dump
) -> None:
    running = Running(servers, AnyStore("", tmp_path))
    await running.send(RECORDS[:HALF])
    with started(running.worker):
        await running.shown(end_of(RECORDS[:HALF]))
        running.worker.kill()
    await running.send(RECORDS[HALF:])
    await leave_group_and_commit_ends(servers)
    with started(running.worker):
        assert await running.shown(END) == expected


async def test_lost_offsets_of_the_group_repeat_nothing(
    servers: str, tmp_path: Path, expected: Dump
) -> None:
    running = Running(servers, AnyStore("", tmp_path))
    await running.send(RECORDS)
    with started(running.worker):
        await running.shown(END)
        running.worker.kill()
    await events_topic.forget_group(servers, GROUP)
    with started(running.worker):
        again = events.login_seen(10**6, device=events.history(1)[0].subject, userId="nobody")
        partition = RECORDS[0].partition
        prev = str(END[partition]).encode()
        record = KafkaRecord(partition, 0, None, events.value_of(again), (("prev", prev),))
        await running.send([record])
        shown = await running.shown({**END, partition: 10**6})
    told = sorted([*expected["audit"], tuple(entry_of_event(again))])
    assert shown == expected | {"audit": told}


async def test_a_topic_that_is_emptied_and_refilled_repeats_nothing(
    running: Running, expected: Dump
) -> None:
    await running.send(RECORDS[:HALF])
    await running.shown(end_of(RECORDS[:HALF]))
    await events_topic.empty(running.servers, PARTITIONS)
    await running.send(RECORDS)
    assert await running.shown(END) == expected


async def test_a_topic_that_was_away_until_the_group_gave_it_up_is_read_when_it_is_back(
    servers: str, tmp_path: Path, expected: Dump
) -> None:
    running = Running(servers, AnyStore("", tmp_path))
    await running.send(RECORDS[:HALF])
    # A worker in the place of one that ended just now gives up nothing.
    await events_topic.forget_group(servers, GROUP)
    with started(running.worker):
        await running.shown(end_of(RECORDS[:HALF]))
        await events_topic.remove(servers, EVENTS)
        await events_topic.until_given_up(servers)
        await events_topic.make_topics(servers, PARTITIONS, EVENTS)
        await running.send(RECORDS)
        assert await running.shown(END) == expected


async def test_a_worker_is_given_what_the_group_gave_up_while_the_topic_was_away(
    servers: str, tmp_path: Path, expected: Dump
) -> None:
    """Back within its session, a worker gets what it had: here nothing of the events."""
    running = Running(servers, AnyStore("", tmp_path))
    # A worker in the place of one that ended just now gives up nothing.
    await events_topic.forget_group(servers, GROUP)
    with started(running.worker):
        await events_topic.remove(servers, EVENTS)
        await events_topic.until_given_up(servers)
        running.worker.kill()
    await events_topic.make_topics(servers, PARTITIONS, EVENTS)
    await running.send(RECORDS)
    with started(running.worker):
        assert await running.shown(END) == expected


async def test_repeats_of_the_relay_change_nothing(on_sqlite: Running, expected: Dump) -> None:
    await on_sqlite.send(RECORDS[:HALF] + RECORDS[HALF - 50 : HALF] + RECORDS[HALF - 100 :])
    assert await on_sqlite.shown(END) == expected


async def test_many_records_behind_are_caught_up_in_bulk(on_sqlite: Running) -> None:
    await asyncio.to_thread(on_sqlite.worker.kill)
    many = events.on_partitions(events.history(4_000), PARTITIONS)
    await on_sqlite.send(many)
    on_sqlite.worker.start()
    await until_shown(on_sqlite.settings, end_of(many))
    counts = (await dump_of(on_sqlite.settings))["counts"]
    assert sum(total for _, _, total in counts) == 1_000


async def test_a_rebuild_under_load_is_never_a_step_back(running: Running, expected: Dump) -> None:
    """The links only grow here: the first half of the history links, and nothing ends yet."""
    growing = [
        r for r in RECORDS if b"linked.v1" in (r.value or b"") or b"registered" in (r.value or b"")
    ]
    growing = growing[: 2 * 400]
    async with polling(running.settings) as polled:
        sending = asyncio.create_task(send_slowly(running, growing))
        for _ in range(2):
            code, _, errors = await asyncio.to_thread(running.run, "rebuild")
            assert (code, errors.count(b"\n") > 0) == (0, True)
        await sending
        await until_shown(running.settings, end_of(growing))
    assert polled.looks > 20
    await running.send(RECORDS[len(growing) :])
    assert await running.shown(END) == expected


async def leave_group_and_commit_ends(servers: str) -> None:
    """Commit the ends of all partitions for the group, as though all had been applied."""
    await events_topic.forget_group(servers, GROUP)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(EVENTS, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.commit(await consumer.end_offsets(partitions))
    finally:
        await consumer.stop()


class Polled:
    """What a reader saw."""

    looks = 0


@asynccontextmanager
async def polling(settings: Settings) -> AsyncIterator[Polled]:
    """A reader that looks all the time, and fails where there is less than before."""
    models = await open_read_models(settings)
    polled, done = Polled(), asyncio.Event()

    async def poll() -> None:
        total, position = 0, dict.fromkeys(range(PARTITIONS), 0)
        while not done.is_set():
            shown = await page(models, Filter(events.BANK), limit=1)
            assert shown.value.total >= total
            assert all(shown.position[p] >= position[p] for p in position)
            total, position = shown.value.total, shown.position
            polled.looks += 1
            await asyncio.sleep(0.001)

    looking = asyncio.create_task(poll())
    try:
        yield polled
    finally:
        done.set()
        await looking
        await models.close()
