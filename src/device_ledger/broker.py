"""The local broker: a real Apache Kafka (KRaft, one node) on loopback, its data below the home.

It is for one machine that has no other: where ``KAFKA_BOOTSTRAP_SERVERS`` is set, nothing of this
runs. Kept small and quick to start; durable as Kafka is, also where it is killed.
"""

import asyncio
import base64
import contextlib
import errno
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from device_ledger.java import find_java
from device_ledger.kafka_jars import BrokerError

LOOPBACK: Final = "127.0.0.1"
PORT_REMEDY: Final = (
    "set DEVICE_LEDGER_BROKER_PORT to a free one, "
    "or KAFKA_BOOTSTRAP_SERVERS to the broker that runs there"
)
GRACE: Final = 20.0
"""Seconds that a broker gets to stop by itself before it is killed."""

_HEAP: Final = ("-Xms64m", "-Xmx192m", "-XX:+UseSerialGC", "-XX:MaxDirectMemorySize=64m")
# What ends at once never earns back the second compiler: a third less CPU.
_BRIEF: Final = ("-XX:TieredStopAtLevel=1",)
_LOGGING: Final = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)
_SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # A killed broker's registration is good for so long: it is how long the next start waits.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    # 128 MB by default, taken at the start.
    "log.cleaner.dedupe.buffer.size": "4194304",
}
# The kernel ends the JVM with its parent: a broker that nobody watches would keep its port.
_TETHERED: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class LocalBroker:
    """A broker below ``home`` on a loopback port; one process at a time may run it.

    ``options`` are for each Java that is started. With ``learnt`` the broker's Java writes there
    what it learnt, as it ends, and what it says beside it (`broker_cache`).
    """

    def __init__(
        self,
        home: Path,
        port: int,
        jars: list[Path],
        options: Sequence[str] = (),
        learnt: Path | None = None,
    ) -> None:
        self._folder = home.resolve() / "kafka"
        self._port = port
        self._java = str(find_java())
        self._options = options
        self._learnt = learnt
        self._class_path = os.pathsep.join(map(str, jars))
        self._process: asyncio.subprocess.Process | None = None

    @property
    def bootstrap_servers(self) -> str:
        """What clients connect to, ``host:port``."""
        return f"{LOOPBACK}:{self._port}"

    async def start(self) -> None:
        """Start the broker on its data, which is made at the first start; wait until it answers.

        Raises:
            BrokerError: the port is taken, the folder can't be written, or the broker ended.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(end_left_over, self._folder)
            check_port(LOOPBACK, self._port, PORT_REMEDY)
            properties = self._write_settings("server.properties", "data")
            if not (self._folder / "data").exists():
                await self._format()
        except OSError as error:
            raise BrokerError(f"{self._folder} can't be written: {error.strerror}") from error
        await self._run(properties)
        await self._until_it_answers()

    async def ended(self) -> int:
        """Wait until the broker has ended, for whatever reason; its exit code."""
        if self._process is None:
            return 0
        return await self._process.wait()

    async def stop(self, grace: float = GRACE) -> None:
        """Stop the broker in order and wait for it; kill it after ``grace`` seconds."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), grace)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _run(self, properties: Path) -> None:
        learning = [f"-XX:AOTCacheOutput={self._learnt}"] if self._learnt else []
        with contextlib.ExitStack() as stack:
            said = None
            if self._learnt:
                said = stack.enter_context(self._learnt.with_suffix(".said").open("wb"))
            self._process = await asyncio.create_subprocess_exec(
                *_tethered(self._command(learning, "kafka.Kafka", str(properties))),
                start_new_session=True,
                stdout=said,
                stderr=said,
            )

    def _command(self, more: Sequence[str], main_class: str, *arguments: str) -> list[str]:
        options = [*_HEAP, *_LOGGING, *self._options, *more, "-cp", self._class_path]
        return [self._java, *options, main_class, *arguments]

    def _write_settings(self, name: str, data: str) -> Path:
        controller = free_port()
        lines = _SETTINGS | {
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},"
            f"CONTROLLER://{LOOPBACK}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{controller}",
            "log.dirs": str(self._folder / data),
        }
        path = self._folder / name
        path.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        return path

    async def _format(self) -> None:
        """Make the data folder, whole or not at all: it is renamed into place once it is made."""
        shutil.rmtree(self._folder / "data.part", ignore_errors=True)
        properties = self._write_settings("format.properties", "data.part")
        tool = self._command(_BRIEF, "kafka.tools.StorageTool", "format", "--standalone")
        made = await asyncio.create_subprocess_exec(
            *tool,
            *("-t", cluster_id(), "-c", str(properties)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await made.communicate()
        properties.unlink()
        if made.returncode:
            last = said.decode().strip().splitlines()[-1:]
            raise BrokerError(f"{self._folder} can't be formatted: {''.join(last)}")
        (self._folder / "data.part").rename(self._folder / "data")

    async def _until_it_answers(self) -> None:
        ended = asyncio.create_task(self.ended())
        while not (await listens(self._port) and await answers(self.bootstrap_servers)):
            await asyncio.wait({ended}, timeout=0.1)
            if ended.done():
                raise BrokerError(
                    f"Kafka ended with exit code {ended.result()} while it started: see above"
                )
        ended.cancel()


async def listens(port: int) -> bool:
    """Whether something accepts connections on that loopback port."""
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def answers(bootstrap_servers: str) -> bool:
    """Whether a broker answers a metadata request, with a broker in it that serves."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=2_000)
    try:
        await admin.start()
        return bool((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()


def check_port(host: str, port: int, remedy: str) -> None:
    """Refuse a port that something else listens on, or an address that isn't of this machine.

    Raises:
        BrokerError: it can't be had; the message ends with the remedy.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise BrokerError(f"port {port} of {host} is taken: {remedy}") from error
            raise BrokerError(f"port {port} of {host}: {error.strerror}: {remedy}") from error


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as trial:
        trial.bind((LOOPBACK, 0))
        return int(trial.getsockname()[1])


def cluster_id() -> str:
    """A random ID as Kafka writes them: 16 bytes, base64url, no ``-`` in front (an option)."""
    while True:
        made = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
        if not made.startswith("-"):
            return made


def end_left_over(folder: Path) -> None:
    """End the broker that a killed process left on this folder, where the kernel didn't."""
    settings = str(folder / "server.properties")
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[-2:] == ["kafka.Kafka", settings]:
                process.send_signal(signal.SIGKILL)
                left.append(process)
    psutil.wait_procs(left, timeout=GRACE)


def _tethered(command: list[str]) -> list[str]:
    if sys.platform != "linux":
        return command
    return [sys.executable, "-c", _TETHERED, str(os.getpid()), *command]
