"""What was told on the alerts topic, and telling more."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import uuid_utils
from aiokafka import AIOKafkaProducer

from device_ledger.wire.alerts import (
    ALERT_RAISED,
    EVIDENCE_MAX,
    RECORDS_LATE,
    AlertRecord,
    Late,
    decode,
    encode,
)
from device_ledger.wire.codec import MalformedRecordError
from device_ledger.wire.topics import ALERTS
from projections.detection.evaluate import FoundAlert
from projections.topic import Topic


@dataclass(slots=True)
class Told:
    """Alerts by their ids, and the records that came late, with the time that was passed then;
    ``next_offset`` is where the topic ended."""

    alerts: dict[str, AlertRecord] = field(default_factory=dict)
    late: dict[str, str] = field(default_factory=dict)
    next_offset: int = 0

    def take(self, value: bytes | None) -> None:
        """Add what a record says; one that is none of ours says nothing."""
        try:
            record = decode(value or b"")
            if record.type == ALERT_RAISED:
                self.alerts.setdefault(record.id, record)
            elif record.type == RECORDS_LATE:
                self.late |= dict.fromkeys(record.data["refs"], record.data["passed"])
        except (MalformedRecordError, KeyError, TypeError):
            return


async def read_told(brokers: str, since: int | datetime = 0) -> Told:
    """What the alerts topic says to its end: from an offset, or as it was told since a time.

    Raises:
        KafkaError: no broker can be reached.
    """
    told = Told()
    async with Topic(brokers, ALERTS).reading() as reading:
        [(begin, told.next_offset)] = (await reading.bounds([0])).values()
        if isinstance(since, datetime):
            first = await reading.offset_at(0, since)
            since = told.next_offset if first is None else first
        # An offset beyond the end is one of a topic that is no more.
        start = since if begin <= since <= told.next_offset else begin
        async for batch in reading.batches({0: start}, {0: told.next_offset}):
            for record in batch[0]:
                told.take(record.value)
    return told


class Teller:
    """Tells alerts and late records on the alerts topic."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def tell(
        self, source: str, alerts: Sequence[FoundAlert], late: Sequence[str], passed: str
    ) -> int | None:
        """Tell these; the offset after them once the broker has all of them for good.

        Raises:
            KafkaError: it may not have them.
        """
        records = [*raised(source, alerts), *_late(source, late, passed)]
        sent = [
            await self._producer.send(ALERTS, encode(record), key=record.id.encode(), partition=0)
            for record in records
        ]
        return max([(await one).offset + 1 for one in sent], default=None)


def raised(source: str, alerts: Iterable[FoundAlert]) -> Iterable[AlertRecord]:
    """The records that tell these alerts now."""
    for alert in alerts:
        yield AlertRecord(alert.id, source, ALERT_RAISED, _now(), dict(alert.data()))


def _late(source: str, refs: Sequence[str], passed: str) -> Iterable[AlertRecord]:
    for start in range(0, len(refs), EVIDENCE_MAX):
        named = list(refs[start : start + EVIDENCE_MAX])
        data = Late(count=len(named), refs=named, passed=passed)
        yield AlertRecord(str(uuid_utils.uuid7()), source, RECORDS_LATE, _now(), dict(data))


def _now() -> str:
    return f"{datetime.now(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


@asynccontextmanager
async def open_teller(brokers: str) -> AsyncIterator[Teller]:
    """Connect.

    Raises:
        KafkaError: no broker can be reached.
    """
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        yield Teller(producer)
    finally:
        await producer.stop()
