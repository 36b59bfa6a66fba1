"""Standard records of the alerts topic."""

from typing import Any

from device_ledger.wire.alerts import (
    ALERT_ACKNOWLEDGED,
    ALERT_RAISED,
    RECORDS_LATE,
    AlertRecord,
    encode,
)
from projections.guard import KafkaRecord
from tests.samples import events

SOURCE = "urn:device-ledger:detector"


def raised(number: int, **data: Any) -> AlertRecord:
    """The standard rule fired on the standard device, save for what is given."""
    told = {
        "rule": "device-farm",
        "title": "One device cycles through customers",
        "level": "high",
        "at": events.at(number),
        "firstAt": events.at(number - 1),
        "completedBy": str(number),
        "group": {"device_token": events.DEVICE},
        "evidence": [str(number - 1), str(number)],
        "evidenceCount": 2,
        "bankId": events.BANK,
        "deviceToken": events.DEVICE,
    }
    said = {name: value for name, value in (told | data).items() if value is not None}
    return AlertRecord(f"alert-{number:03}", SOURCE, ALERT_RAISED, events.at(number), said)


def acknowledged(number: int, of: AlertRecord, **data: Any) -> AlertRecord:
    """The lead took note of an alert."""
    told = {"alert": of.id, "actor": "lead-1", "at": events.at(number)} | data
    return AlertRecord(f"note-{number}", SOURCE, ALERT_ACKNOWLEDGED, events.at(number), told)


def late(number: int, *refs: str) -> AlertRecord:
    """Records came after the detector had passed their time."""
    told = {"count": len(refs), "refs": list(refs), "passed": events.at(number)}
    return AlertRecord(f"late-{number}", SOURCE, RECORDS_LATE, events.at(number), told)


def on_topic(record: AlertRecord) -> KafkaRecord:
    """The record as it is sent."""
    return KafkaRecord(0, 0, record.id.encode(), encode(record), ())
