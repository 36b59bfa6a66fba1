"""Reading the events topic as far as the event store goes."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from device_ledger.wire.codec import MalformedRecordError, read_record
from device_ledger.wire.topics import EVENTS, SINGLE
from tests.support.topic_check import Published


async def without_topics(servers: str) -> None:
    """Delete our topics, and return when they are gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        there = {EVENTS, *SINGLE} & set(await admin.list_topics())
        if there:
            await admin.delete_topics(list(there))
        while {EVENTS, *SINGLE} & set(await admin.list_topics()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def published(
    servers: str,
    heads: Mapping[int, int],
    partitions: int,
    within: float = 60.0,
    *,
    foreign: bool = False,
) -> dict[int, list[Published]]:
    """All records of the topic, once each partition has come to the id that ``heads`` names.

    With ``foreign`` records that are none of ours are passed over.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    await consumer.start()
    try:
        numbers = [TopicPartition(EVENTS, number) for number in range(partitions)]
        consumer.assign(numbers)
        await consumer.seek_to_beginning(*numbers)
        found: dict[int, list[Published]] = defaultdict(list)
        async with asyncio.timeout(within):
            while not _has_come(found, heads) or await _more(consumer, numbers):
                batch = await consumer.getmany(timeout_ms=500)
                for records in batch.values():
                    for one in records:
                        try:
                            record = read_record(one.partition, one.offset, one.headers, one.value)
                        except MalformedRecordError:
                            if not foreign:
                                raise
                            continue
                        found[one.partition].append(Published(record, one.key, one.value))
        return dict(found)
    finally:
        await consumer.stop()


def _has_come(found: Mapping[int, list[Published]], heads: Mapping[int, int]) -> bool:
    return all(
        number in found and max(one.record.event.id for one in found[number]) >= head
        for number, head in heads.items()
    )


async def _more(consumer: AIOKafkaConsumer, numbers: list[TopicPartition]) -> bool:
    ends = await consumer.end_offsets(numbers)
    for number, end in ends.items():
        if await consumer.position(number) < end:
            return True
    return False
