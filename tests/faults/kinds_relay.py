"""What befalls relays, the topic and the event store."""

import asyncio
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from device_ledger.wire.topics import EVENTS
from tests.faults.kinds import Stage
from tests.support.read_models import until_shown

_LEASE = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks"
    " WHERE locktype = 'advisory' AND database ="
    " (SELECT oid FROM pg_database WHERE datname = 'events') AND granted"
)


async def two_relays(stage: Stage) -> None:
    """A relay is paused, another takes its lease, and the first goes on where it was."""
    rig = stage.rig
    rig.signal("relay", signal.SIGSTOP)
    try:
        if rig.postgres:
            await asyncio.to_thread(rig.sql, "events", _LEASE)
        else:
            (rig.home / "ledger" / "relay.lock").unlink()
        await asyncio.to_thread(rig.start, "relay-2")
        await stage.some_answers()
    finally:
        rig.signal("relay", signal.SIGCONT)
    await stage.some_answers(30)
    await asyncio.to_thread(rig.stop, "relay-2")
    await rig.restart("relay")


async def topic_deleted(stage: Stage) -> None:
    """The events topic is deleted under all who use it."""
    async with _admin(stage) as admin:
        await admin.delete_topics([EVENTS])


async def topic_truncated(stage: Stage) -> None:
    """The first records of some partitions are removed."""
    async with _admin(stage) as admin:
        ends = await _ends(stage)
        cut = {
            TopicPartition(EVENTS, number): RecordsToDelete(stage.chance.randint(0, end))
            for number, end in ends.items()
            if stage.chance.random() < 0.5
        }
        await admin.delete_records(cut)


async def topic_refuses(stage: Stage) -> None:
    """The broker refuses every record for a while."""
    await _set_topic(stage, {"max.message.bytes": "10"})
    try:
        await stage.some_answers()
        await stage.a_while()
    finally:
        await _set_topic(stage, {"max.message.bytes": "1048588"})


async def older_event_store(stage: Stage) -> None:
    """The event store is an older copy while the topic is ahead: no relay goes on with it."""
    rig = stage.rig
    ledger = rig.home / "ledger"
    older, newest = ledger / "older.db", ledger / "newest.db"
    with (
        closing(sqlite3.connect(ledger / "events.db")) as live,
        closing(sqlite3.connect(older)) as copy,
    ):
        live.backup(copy)
    await stage.loads[0].answers(20)
    await until_shown(rig.settings, rig.heads())
    async with rig.without("relay", "api"):
        _move(ledger / "events.db", newest)
        _move(older, ledger / "events.db")
        await asyncio.to_thread(_refused, stage)
        _move(newest, ledger / "events.db")


def _refused(stage: Stage) -> None:
    child = stage.rig.child("relay")
    child.start()
    code, said = child.wait(60), child.last_words()
    if code != 1 or "is ahead of the event store" not in said or "restore" not in said:
        raise AssertionError(f"a relay of an older store ended with {code} and said: {said}")


def _move(source: Path, target: Path) -> None:
    for file in target.parent.glob(f"{target.name}*"):
        file.unlink()
    for file in source.parent.glob(f"{source.name}*"):
        shutil.move(file, target.with_name(file.name.replace(source.name, target.name)))


@asynccontextmanager
async def _admin(stage: Stage) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.rig.servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def _set_topic(stage: Stage, configs: dict[str, str]) -> None:
    async with _admin(stage) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, EVENTS, configs)
        [answer] = await admin.alter_configs([resource])
        assert [code for code, *_ in answer.resources] == [0]


async def _ends(stage: Stage) -> dict[int, int]:
    async with AIOKafkaConsumer(bootstrap_servers=stage.rig.servers) as consumer:
        partitions = [TopicPartition(EVENTS, number) for number in range(stage.partitions)]
        ends = await consumer.end_offsets(partitions)
        return {at.partition: end for at, end in ends.items()}
