"""What a restored event store lacks and the topic still has: kept in a file, for people.

The file is written before the topic is made empty. It has the exact bytes of each event, one a
line, in the order of each partition; nothing of ours reads it again.
"""

import asyncio
import logging
import time
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from device_ledger.durable import write_whole
from device_ledger.ledger.epochs import Epochs, epochs_of
from device_ledger.ledger.ledger import EventStore
from device_ledger.ledger.stores import Identity
from device_ledger.settings import Settings
from device_ledger.wire.codec import MalformedRecordError, read_record
from device_ledger.wire.topics import EVENTS

log = logging.getLogger(__name__)

FOLDER: Final = "lost"
_RECORDS: Final = 5_000
_WAIT_MS: Final = 30_000


async def keep_lost(settings: Settings, bootstrap_servers: str, events: EventStore) -> None:
    """Write the events of the topic that are not part of history any more below the home.

    Raises:
        OSError: the file can't be written.
        KafkaError: the topic can't be read.
    """
    epochs = await asyncio.to_thread(epochs_of, events)
    lines: list[bytes] = []
    # Each of its own: a reader of several gives no end of one.
    for partition in range(events.identity.partitions):
        at = TopicPartition(EVENTS, partition)
        lines += await _lost(bootstrap_servers, at, events.identity, epochs)
    if lines:
        path = settings.home / FOLDER / f"before-epoch-{epochs.now}-{time.time_ns():x}.ndjson"
        await asyncio.to_thread(_write, path, lines)
        log.warning("%d events were lost by the restore; they are kept in %s", len(lines), path)


async def _lost(
    bootstrap_servers: str, at: TopicPartition, identity: Identity, epochs: Epochs
) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, enable_auto_commit=False, auto_offset_reset="none"
    )
    await consumer.start()
    found: dict[int, bytes] = {}
    try:
        consumer.assign([at])
        consumer.seek(at, (await consumer.beginning_offsets([at]))[at])
        end = (await consumer.end_offsets([at]))[at]
        while await consumer.position(at) < end:
            batch = await consumer.getmany(at, timeout_ms=_WAIT_MS, max_records=_RECORDS)
            for raw in batch.get(at, ()):
                try:
                    event = read_record(raw.partition, raw.offset, raw.headers, raw.value).event
                    epoch = Identity.of_source(event.source, identity.partitions).epoch
                except (MalformedRecordError, ValueError):
                    continue
                if not epochs.keeps(epoch, at.partition, event.id):
                    found[event.id] = raw.value
    finally:
        await consumer.stop()
    return list(found.values())


def _write(path: Path, lines: list[bytes]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, b"".join(line + b"\n" for line in lines), 0o600)
