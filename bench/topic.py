"""A topic of a million public events, as the relay would have sent them."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count as count_from
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.histories import version
from device_ledger.simulation.population import Population
from device_ledger.simulation.scribe import Line, Scribe
from device_ledger.simulation.traffic import Traffic
from device_ledger.wire.codec import CONTENT_TYPE_HEADER, PREV_HEADER, partition_of
from device_ledger.wire.events import (
    DEVICE_DEACTIVATED,
    DEVICE_ERASED,
    DEVICE_LINKED,
    DEVICE_UNLINKED,
)
from device_ledger.wire.topics import DEAD_LETTERS

PARTITIONS: Final = 8
_SEED: Final = 1
_MADE: Final = 100_000
_CUSTOMERS: Final = 20_000
_START: Final = datetime(2026, 1, 5, tzinfo=UTC)
_DAYS: Final = 30
_ENDINGS: Final = {DEVICE_UNLINKED, DEVICE_DEACTIVATED, DEVICE_ERASED}


class Filled(NamedTuple):
    """What lies on a topic: its events, and how many devices are linked after all of them."""

    events: int
    linked: int


async def fill(bootstrap_servers: str, name: str, count: int) -> Filled:
    """Make a topic of this name, and put so many events on it, each with its ``prev``."""
    await _make(bootstrap_servers, name)
    last = dict.fromkeys(range(PARTITIONS), b"0")
    holders: dict[str, tuple[str, str]] = {}
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, enable_idempotence=True, acks="all"
    )
    await producer.start()
    try:
        batches = {partition: producer.create_batch() for partition in last}
        for told in islice(_events(), count):
            follow(holders, told)
            key = told["subject"]
            partition = partition_of(key, PARTITIONS)
            headers = [(PREV_HEADER, last[partition]), CONTENT_TYPE_HEADER]
            last[partition] = told["id"].encode()
            record = {"key": key.encode(), "value": orjson.dumps(told), "timestamp": None}
            if batches[partition].append(**record, headers=headers) is None:
                await producer.send_batch(batches[partition], name, partition=partition)
                batches[partition] = producer.create_batch()
                batches[partition].append(**record, headers=headers)
        for partition, batch in batches.items():
            await producer.send_batch(batch, name, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()
    return Filled(count, len(holders))


async def _make(bootstrap_servers: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
        # Rebuilds tell of what can't be read there.
        await admin.create_topics([NewTopic(DEAD_LETTERS, 1, 1)])
    finally:
        await admin.close()


def follow(holders: dict[str, tuple[str, str]], told: dict[str, Any]) -> None:
    """Who holds a device, by the rule of the events themselves."""
    holder = told["data"]["bankId"], told["data"]["userId"]
    if told["type"] == DEVICE_LINKED:
        holders[told["subject"]] = holder
    elif told["type"] in _ENDINGS and holders.get(told["subject"]) == holder:
        del holders[told["subject"]]


def _events() -> Iterator[dict[str, Any]]:
    """One history after the other: the same customers, but with other devices each time."""
    stored = _history().read_bytes().splitlines()
    step = int(orjson.loads(stored[-1])["id"])
    for copy in count_from(0):
        for line in stored:
            told = orjson.loads(line)
            told["id"] = str(int(told["id"]) + copy * step)
            told["subject"] = f"{copy:02}{told['subject'][2:]}"
            yield told


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
