"""The local broker is a real Kafka: it keeps what it acknowledged and makes no topic unasked."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from device_ledger.broker_cache import cache_file, cache_options
from device_ledger.cli.broker import fetch_with_progress
from device_ledger.cli.child import ChildEnded
from device_ledger.java import OLDEST_WITH_CACHE, find_java, java_version
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


def test_a_broker_is_prepared_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    jars = fetch_with_progress()
    if java_version(find_java()) < OLDEST_WITH_CACHE:
        assert cache_options(jars) == []
        return
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    assert cache_options(jars) == []
    for _ in range(2):
        assert device_ledger("broker", "--prepare") == (0, "the local broker is prepared\n")
        [made] = (tmp_path / "cache" / "device-ledger").iterdir()
    assert cache_options(jars)[0] == f"-XX:AOTCache={made}"
    with local_broker(tmp_path / "home"):
        assert str(made) in " ".join(java_of(tmp_path / "home").cmdline())
        maps = {region.path for region in java_of(tmp_path / "home").memory_maps()}
        assert str(made) in maps


def test_a_cache_that_is_none_keeps_no_broker_from_its_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = cache_file(find_java(), fetch_with_progress())
    file.parent.mkdir(parents=True)
    file.write_bytes(b"none")
    with local_broker(tmp_path / "home") as broker:
        assert broker.is_ready()


def java_of(home: Path) -> psutil.Process:
    """The Java of the broker on that home."""
    settings = str(home.resolve() / "kafka" / "server.properties")
    [found] = [
        one for one in psutil.process_iter(["cmdline"]) if settings in (one.info["cmdline"] or [])
    ]
    return found


def device_ledger(*words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "device_ledger", *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout
