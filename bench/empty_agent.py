"""The reference for freshness: a Faust agent that does nothing with what it gets.

``python -m bench.empty_agent BROKERS RECORDS`` is its worker: a line once it has its partition,
then for each so many records a line of JSON, the milliseconds from the sending of each to the
agent. `EmptyAgent` runs it and sends to it.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import faust
from aiokafka import AIOKafkaProducer
from faust.types import StreamT

from tests.support.events_topic import make_topics

TOPIC: Final = "bench-empty-agent"
_READY: Final = "ready"


class EmptyAgent:
    """A running worker."""

    def __init__(self, brokers: str, records: int, worker: subprocess.Popen[str]) -> None:
        self._brokers = brokers
        self._records = records
        self._worker = worker

    def latencies_ms(self, rate: float) -> list[float]:
        """Of as many records as it was started for, sent at that rate."""
        asyncio.run(self._send(rate))
        told: list[float] = json.loads(self._line())
        return told

    def await_ready(self) -> None:
        """Return once it waits for records."""
        while self._line().strip() != _READY:
            pass

    def _line(self) -> str:
        assert self._worker.stdout is not None
        line = self._worker.stdout.readline()
        if not line:
            raise RuntimeError("the empty agent's worker ended")
        return line

    async def _send(self, rate: float) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._brokers, enable_idempotence=True)
        async with producer:
            begun = time.perf_counter()
            for number in range(self._records):
                await asyncio.sleep(begun + number / rate - time.perf_counter())
                await producer.send(TOPIC, b"%d" % time.perf_counter_ns())
            await producer.flush()


@contextmanager
def running_empty_agent(brokers: str, records: int) -> Iterator[EmptyAgent]:
    """A worker on a topic of its own, for rounds of so many records."""
    asyncio.run(make_topics(brokers, 1, TOPIC))
    words = [sys.executable, "-m", "bench.empty_agent", brokers, str(records)]
    worker = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        agent = EmptyAgent(brokers, records, worker)
        agent.await_ready()
        yield agent
    finally:
        worker.terminate()
        worker.wait()


async def _work(brokers: str, records: int, data: Path) -> None:
    app = faust.App(
        TOPIC,
        broker=";".join(f"kafka://{server}" for server in brokers.split(",")),
        datadir=data,
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        value_serializer="raw",
    )
    latencies: list[float] = []

    @app.agent(app.topic(TOPIC, value_type=bytes), name="empty")
    async def empty(stream: StreamT[Any]) -> None:
        async for sent in stream:
            latencies.append((time.perf_counter_ns() - int(sent)) / 1e6)
            if len(latencies) == records:
                print(json.dumps(latencies), flush=True)
                latencies.clear()

    def tell(*_: Any, **__: Any) -> None:
        if app.consumer.assignment():
            print(_READY, flush=True)

    app.on_rebalance_complete.connect(tell, weak=False)
    await app.start()
    await app.wait_until_stopped()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        asyncio.run(_work(sys.argv[1], int(sys.argv[2]), Path(folder)))
