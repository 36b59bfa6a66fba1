"""What a record of the alerts topic makes of an alert's row."""

from pathlib import Path
from typing import Any, NamedTuple

import orjson

from device_ledger.wire.alerts import ALERT_ACKNOWLEDGED, ALERT_RAISED, RECORDS_LATE, decode
from device_ledger.wire.codec import MalformedRecordError, Record
from device_ledger.wire.events import PublicEvent
from device_ledger.wire.topics import ALERTS
from projections.guard import KafkaRecord, Malformed, by_offset
from projections.model import Folded

ALERT = "alert"
LATE = "late"


class AlertRow(NamedTuple):
    """An alert, or a notice of late records.

    ``kind`` is ``alert`` or ``late``. ``arrived`` is its place on the alerts topic, counted from
    1. ``group_values`` is a JSON object, ``evidence`` a JSON array of references to entries, the
    newest 100 of ``evidence_count``. A notice has no rule: its evidence are the late entries, and
    ``at`` is the time that the detector had passed when they came.
    """

    id: str
    arrived: int
    kind: str
    rule: str
    title: str
    level: str
    at: str
    first_at: str
    completed_by: str
    group_values: str
    evidence: str
    evidence_count: int
    bank_id: str | None
    device_token: str | None
    customer_id: str | None
    merchant_id: str | None
    acknowledged_at: str | None = None
    acknowledged_by: str | None = None
    note: str | None = None


def parse(raw: KafkaRecord) -> Record | Malformed:
    """Read a record of the alerts topic: as its subject an event has the CloudEvent's ``id``."""
    item = by_offset(raw)
    if isinstance(item, Malformed):
        return item
    try:
        told = decode(raw.value or b"")
    except MalformedRecordError as error:
        return Malformed(raw, str(error))
    event = item.event._replace(type=told.type, subject=told.id, time=told.time, data=told.data)
    return item._replace(event=event)


def key_of(event: PublicEvent) -> str | None:
    """The ID of the alert, or of the notice."""
    if event.type == ALERT_ACKNOWLEDGED:
        return str(event.data["alert"])
    return event.subject if event.type in {ALERT_RAISED, RECORDS_LATE} else None


def apply(row: AlertRow | None, event: PublicEvent) -> AlertRow | None:
    """The row after the record: what was raised or acknowledged once stays as it is."""
    if event.type == ALERT_ACKNOWLEDGED:
        return _acknowledged(row, event.data)
    if row is not None:
        return row
    return _raised(event) if event.type == ALERT_RAISED else _late(event)


def _raised(event: PublicEvent) -> AlertRow:
    data = event.data
    return AlertRow(
        id=event.subject,
        arrived=event.id,
        kind=ALERT,
        rule=data["rule"],
        title=data["title"],
        level=data["level"],
        at=data["at"],
        first_at=data["firstAt"],
        completed_by=data["completedBy"],
        group_values=_json(data["group"]),
        evidence=_json(data["evidence"]),
        evidence_count=data["evidenceCount"],
        bank_id=data.get("bankId"),
        device_token=data.get("deviceToken"),
        customer_id=data.get("customerId"),
        merchant_id=data.get("merchantId"),
    )


def _late(event: PublicEvent) -> AlertRow:
    data = event.data
    return AlertRow(
        id=event.subject,
        arrived=event.id,
        kind=LATE,
        rule="",
        title="",
        level="",
        at=data["passed"],
        first_at=data["passed"],
        completed_by="",
        group_values="{}",
        evidence=_json(data["refs"]),
        evidence_count=data["count"],
        bank_id=None,
        device_token=None,
        customer_id=None,
        merchant_id=None,
    )


def _acknowledged(row: AlertRow | None, data: dict[str, Any]) -> AlertRow | None:
    if row is None or row.kind != ALERT or row.acknowledged_at is not None:
        return row
    return row._replace(
        acknowledged_at=data["at"], acknowledged_by=data["actor"], note=data.get("note")
    )


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


MODEL = Folded(
    name="alerts",
    table="alerts",
    row=AlertRow,
    folder=Path(__file__).parent,
    topic=ALERTS,
    parse=parse,
    key_of=key_of,
    apply=apply,
)
