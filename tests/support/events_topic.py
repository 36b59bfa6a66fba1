"""Doing to the events topic what the relay does, and what befalls it."""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupIdNotFound, NonEmptyGroup
from aiokafka.protocol.admin import DeleteGroupsRequest

from device_ledger.wire.topics import DEAD_LETTERS, EVENTS
from projections.group import ask_group, taken
from projections.guard import KafkaRecord
from projections.topic import kafka_record


async def make_topics(servers: str, partitions: int, *names: str) -> None:
    """Make topics, by default the events and the dead letters."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name, partitions, 1) for name in names or (EVENTS, DEAD_LETTERS)]
        )
    finally:
        await admin.close()


async def send(servers: str, records: Iterable[KafkaRecord], topic: str = EVENTS) -> None:
    """Produce records to their partitions, in order."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=2
    )
    await producer.start()
    try:
        acknowledgements = [
            await producer.send(
                topic,
                partition=record.partition,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
            )
            for record in records
        ]
        await asyncio.gather(*acknowledgements)
    finally:
        await producer.stop()


async def empty(servers: str, partitions: int, topic: str = EVENTS, before: int = -1) -> None:
    """Remove all records, or those before an offset; offsets go on where they were."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_records(
            {TopicPartition(topic, p): RecordsToDelete(before) for p in range(partitions)}
        )
    finally:
        await admin.close()


async def remove(servers: str, topic: str) -> None:
    """Delete a topic, where it is there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        if topic in await admin.list_topics():
            await admin.delete_topics([topic])
        while topic in await admin.list_topics():  # noqa: ASYNC110 - Kafka gives no event
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def remake(servers: str, partitions: int, topic: str = EVENTS) -> None:
    """Delete the topic and make it anew, empty; offsets begin again."""
    await remove(servers, topic)
    await make_topics(servers, partitions, topic)


async def forget_group(servers: str, group: str) -> None:
    """Remove a consumer group with its offsets, once the broker has noticed that it is empty."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        try:
            coordinator = await admin.find_coordinator(group)
        except GroupCoordinatorNotAvailableError:
            # The broker never had a group.
            return
        code = NonEmptyGroup.errno
        while code == NonEmptyGroup.errno:
            response = await admin._send_request(DeleteGroupsRequest([group]), coordinator)
            [(_, code)] = response.results
            await asyncio.sleep(0.2)
        assert code in {0, GroupIdNotFound.errno}
    finally:
        await admin.close()


async def until_given_up(servers: str, topic: str = EVENTS) -> None:
    """Wait until no worker of the settled group has a partition of a topic any more."""
    async with asyncio.timeout(60):
        while True:
            group = await ask_group(servers)
            if group.settled and group.workers and topic not in dict(taken(group.workers)):
                return
            await asyncio.sleep(0.1)


async def records_of(servers: str, topic: str) -> list[KafkaRecord]:
    """All records of a topic."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, group_id=None, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        found: list[KafkaRecord] = []
        for at, end in ends.items():
            while await consumer.position(at) < end:
                batch = await consumer.getmany(at, timeout_ms=1_000)
                found += [kafka_record(record) for record in batch.get(at, ())]
        return found
    finally:
        await consumer.stop()
