"""The Kafka that tests run against: always a real one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from device_ledger.broker import free_port
from device_ledger.cli.child import Child
from tests.support.docker import docker_answers

IMAGE = "apache/kafka:4.2.2"


@contextmanager
def running_kafka(home: Path) -> Iterator[str]:
    """``host:port`` of a broker: of the environment, else in a container, else our local one."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
    elif docker_answers():
        with _in_container() as servers:
            yield servers
    else:
        with local_broker(home) as broker:
            yield broker.bootstrap_servers


class BrokerProcess(Child):
    """``device-ledger broker`` on a home and a free port."""

    def __init__(self, home: Path) -> None:
        port = free_port()
        self.bootstrap_servers = f"127.0.0.1:{port}"
        environment = {key: os.environ[key] for key in os.environ if "KAFKA" not in key}
        super().__init__("broker", home, environment | {"DEVICE_LEDGER_BROKER_PORT": str(port)})


@contextmanager
def local_broker(home: Path) -> Iterator[BrokerProcess]:
    """A local broker of its own below ``home``, for tests that stop or kill it."""
    broker = BrokerProcess(home)
    broker.start()
    try:
        broker.wait_until_ready()
        yield broker
    finally:
        broker.stop()


@contextmanager
def _in_container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    # The port is chosen before: a broker must know the address that it tells its clients.
    port = free_port()
    container = DockerContainer(IMAGE).with_bind_ports(port, port)
    for name, value in _container_settings(port).items():
        container = container.with_env(name, value)
    with container.waiting_for(LogMessageWaitStrategy("Kafka Server started")):
        yield f"{container.get_container_host_ip()}:{port}"


def _container_settings(port: int) -> dict[str, str]:
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://localhost:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }
