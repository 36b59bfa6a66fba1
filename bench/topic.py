"""A topic of a million public events, as the relay would have sent them."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson
from aiokafka import AIOKafkaProducer

from bench.histories import version
from device_ledger.simulation.population import Population
from device_ledger.simulation.scribe import Line, Scribe
from device_ledger.simulation.traffic import Traffic
from device_ledger.wire.codec import CONTENT_TYPE_HEADER, PREV_HEADER, partition_of
from device_ledger.wire.topics import EVENTS, ensure_topics

EVENTS_FULL: Final = 1_000_000
EVENTS_QUICK: Final = 100_000
PARTITIONS: Final = 8
_SEED: Final = 1
_MADE: Final = 100_000
_CUSTOMERS: Final = 20_000
_START: Final = datetime(2026, 1, 5, tzinfo=UTC)
_DAYS: Final = 30


async def fill(bootstrap_servers: str, count: int) -> None:
    """Make the topics, and put so many events on that of events, each with its ``prev``."""
    await ensure_topics(bootstrap_servers, partitions=PARTITIONS, replication_factor=1)
    last = dict.fromkeys(range(PARTITIONS), b"0")
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, enable_idempotence=True, acks="all"
    )
    await producer.start()
    try:
        batches = {partition: producer.create_batch() for partition in last}
        for number, (event_id, key, value) in enumerate(_events(), 1):
            partition = partition_of(key, PARTITIONS)
            headers = [(PREV_HEADER, last[partition]), CONTENT_TYPE_HEADER]
            record = {"key": key.encode(), "value": value, "timestamp": None, "headers": headers}
            if batches[partition].append(**record) is None:
                await producer.send_batch(batches[partition], EVENTS, partition=partition)
                batches[partition] = producer.create_batch()
                batches[partition].append(**record)
            last[partition] = b"%d" % event_id
            if number == count:
                break
        for partition, batch in batches.items():
            await producer.send_batch(batch, EVENTS, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


def _events() -> Iterator[tuple[int, str, bytes]]:
    """One history after the other: the same customers, but with other devices each time.

    Yields each event's id, its key and its bytes.
    """
    stored = _history().read_bytes().splitlines()
    step = int(orjson.loads(stored[-1])["id"])
    copy = 0
    while True:
        for line in stored:
            told = orjson.loads(line)
            event_id = int(told["id"]) + copy * step
            told["id"] = str(event_id)
            told["subject"] = f"{copy:02}{told['subject'][2:]}"
            yield event_id, told["subject"], orjson.dumps(told)
        copy += 1


def _history() -> Path:
    """A file of events, one a line; made once and kept in the scratch directory."""
    folder = Path(tempfile.gettempdir()) / "device-ledger-bench"
    done = folder / f"traffic-{_SEED}-{_MADE}-{_CUSTOMERS}-{version()}.ndjson"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as draft:
            draft.writelines(line.value + b"\n" for line in _lines())
        Path(draft.name).replace(done)
    return done


def _lines() -> Iterator[Line]:
    traffic = Traffic(Population(_SEED, 3, _CUSTOMERS, 1), _START, _DAYS)
    scribe = Scribe(_SEED, PARTITIONS)
    made = 0
    for call in traffic.calls(_MADE):
        for line in scribe.write(call):
            yield line
            made += 1
            if made == _MADE:
                return
