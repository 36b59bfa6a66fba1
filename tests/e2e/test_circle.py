"""The whole circle as processes: what it promises while the worker is away, or two share."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faust
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from device_ledger.wire.topics import ACCESS, ALERTS, EVENTS
from projections.topic import GROUP
from tests.conftest import AnyStore
from tests.support.published import without_topics
from tests.support.system import System, link


@pytest.fixture
async def servers(kafka: str) -> str:
    await without_topics(kafka)
    return kafka


@pytest.fixture
def system(servers: str, any_store: AnyStore) -> Iterator[System]:
    """The system on SQLite and then on PostgreSQL; nothing runs yet."""
    url = any_store.url
    with System(any_store.home, servers, event_store_url=url, read_models_url=url) as made:
        yield made


async def look_up(
    system: System, client: httpx.AsyncClient, number: int, position: str = ""
) -> tuple[int, str | None]:
    """Status and ``Retry-After`` of a lookup, at that position where one is given."""
    answer = await client.post(
        "/v1/customer/device/lookup",
        json={"deviceId": f"device-{number}"},
        headers=system.merchant() | ({"Ledger-Min-Position": position} if position else {}),
    )
    return answer.status_code, answer.headers.get("Retry-After")


async def until_found(system: System, client: httpx.AsyncClient, number: int, at: str) -> None:
    """Look up as the answer asks for, until the position is shown; the device is there then."""
    while (found := await look_up(system, client, number, at)) == (503, "1"):
        pass
    assert found == (200, None)


async def test_while_the_worker_is_away_commands_are_taken_and_lookups_stay(
    system: System,
) -> None:
    system.start("api", "relay", "streams")
    async with system.client() as client:
        await until_found(system, client, 1, await link(system, client, 1))
        system.stop("streams")
        position = await link(system, client, 2)
        assert await look_up(system, client, 2) == (404, None)
        assert await look_up(system, client, 2, position) == (503, "1")
        assert await look_up(system, client, 1) == (200, None)
        system.start("streams")
        await until_found(system, client, 2, position)


async def test_rows_are_written_by_the_workers_consumer_group(system: System) -> None:
    system.start("api", "relay", "streams")
    async with system.client() as client:
        position = ""
        for number in range(40):
            position = await link(system, client, number)
        await until_found(system, client, 39, position)
    events = [TopicPartition(EVENTS, number) for number in range(system.settings.partitions)]
    partitions = [TopicPartition(ACCESS, 0), TopicPartition(ALERTS, 0), *events]
    # The group may miss the workers of an earlier test only when their sessions have ended.
    while await members(system.servers) != [(f"faust-{faust.__version__}", partitions)]:
        assert system.runs("streams")
    ends = await ends_of(system.servers, partitions)
    assert sum(ends[at] for at in events) == 80
    while await committed(system.servers) != ends:
        assert system.runs("streams")


async def test_two_workers_share_the_partitions_and_one_takes_all_when_the_other_is_killed(
    servers: str, postgres_database: str, tmp_path: Path
) -> None:
    url = postgres_database
    with System(tmp_path, servers, event_store_url=url, read_models_url=url) as system:
        system.start("api", "relay", "streams", "streams-2")
        every = list(range(system.settings.partitions))
        held = await until_held(system, every)
        assert {name: len(held[name]) for name in held} == {"streams": 4, "streams-2": 4}
        async with system.client() as client:
            for number in range(20):
                await until_found(system, client, number, await link(system, client, number))
            system.kill("streams")
            positions = [await link(system, client, number) for number in range(20, 40)]
            # The broker misses the dead one only when its session has ended.
            while "streams" in (held := await until_held(system, every)):
                assert system.runs("streams-2")
            assert held == {"streams-2": every}
            for number, position in enumerate(positions, 20):
                await until_found(system, client, number, position)


async def until_held(system: System, partitions: list[int]) -> dict[str, list[int]]:
    """The event partitions of each worker, once each of these is some one worker's."""
    while True:
        found = await asyncio.to_thread(system.status)
        workers: dict[str, dict[str, list[int]]] = found.get("workers", {})
        held = {name: topics.get(EVENTS, []) for name, topics in workers.items()}
        if sorted(itertools.chain(*held.values())) == partitions:
            return held


async def members(servers: str) -> list[tuple[str, list[TopicPartition]]]:
    """Each member of the group: the client that it says it is, and what it is to read."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        [response] = await admin.describe_consumer_groups([GROUP])
    finally:
        await admin.close()
    [group] = response.to_object()["groups"]
    assigned = ConsumerProtocolMemberAssignment.decode
    return [
        (one["client_id"], sorted(assigned(one["member_assignment"]).partitions()))
        for one in group["members"]
    ]


async def committed(servers: str) -> dict[TopicPartition, int]:
    """The offsets that the group has committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        found: dict[TopicPartition, Any] = await admin.list_consumer_group_offsets(GROUP)
        return {at: one.offset for at, one in found.items()}
    finally:
        await admin.close()


async def ends_of(servers: str, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    """The offset that the next record of each partition will get."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await consumer.start()
    try:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return ends
    finally:
        await consumer.stop()
