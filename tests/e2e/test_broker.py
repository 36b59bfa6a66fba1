"""The local broker is a real Kafka: it keeps what it acknowledged and makes no topic unasked."""

from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from device_ledger.cli.child import ChildEnded
from tests.support.kafka import BrokerProcess, local_broker

TOPIC = "kept"


async def make_topic(servers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def produce(servers: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(TOPIC, value)
    finally:
        await producer.stop()


async def read_all(servers: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partition = TopicPartition(TOPIC, 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        values: list[bytes] = []
        while await consumer.position(partition) < end:
            values.append((await consumer.getone()).value)
        return values
    finally:
        await consumer.stop()


async def test_a_killed_broker_comes_back_with_what_it_acknowledged(tmp_path: Path) -> None:
    with local_broker(tmp_path) as broker:
        await make_topic(broker.bootstrap_servers)
        await produce(broker.bootstrap_servers, [b"before"])
        broker.kill()
        broker.start()
        broker.wait_until_ready()
        await produce(broker.bootstrap_servers, [b"after"])
        assert await read_all(broker.bootstrap_servers) == [b"before", b"after"]


async def test_a_topic_is_never_made_by_asking_for_it(tmp_path: Path) -> None:
    with local_broker(tmp_path) as broker:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        try:
            [found] = await admin.describe_topics(["never-made"])
            assert found["error_code"] == UnknownTopicOrPartitionError.errno
            assert "never-made" not in await admin.list_topics()
        finally:
            await admin.close()


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with local_broker(tmp_path / "first") as first:
        second = BrokerProcess(tmp_path / "second")
        port = first.bootstrap_servers.rsplit(":", maxsplit=1)[1]
        second._environment["DEVICE_LEDGER_BROKER_PORT"] = port
        second.start()
        with pytest.raises(ChildEnded, match=f"port {port} of 127.0.0.1 is taken"):
            second.wait_until_ready()


def test_a_stopped_broker_ends_well_and_says_that_it_serves_no_more(tmp_path: Path) -> None:
    with local_broker(tmp_path) as broker:
        broker.stop()
        assert broker.exit_code == 0
        assert list((tmp_path / "run").iterdir()) == []
