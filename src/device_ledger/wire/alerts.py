"""What the detector says on the alerts topic: an alert, and records that came too late for it.

CloudEvents in structured JSON, one a Kafka record; the classes give the fields of ``data``. An
alert's ``id`` is made of its rule, its group and the entry that completed it: the same history and
rule give the same id, live and in replay.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NotRequired, TypedDict

import orjson

from device_ledger.wire.codec import MalformedRecordError

ALERT_RAISED: Final = "alert.raised.v1"
ALERT_ACKNOWLEDGED: Final = "alert.acknowledged.v1"
RECORDS_LATE: Final = "records.late.v1"

_NAMESPACE: Final = uuid.UUID("5f0c8a5e-7a53-5f0e-9d55-1f2e6f5c7a42")

EVIDENCE_MAX: Final = 100
"""References that an alert names at most, the newest; ``evidenceCount`` counts them all."""


class Alert(TypedDict):
    """A rule fired. ``at`` is the recorded time of the entry ``completedBy``, in whose moment the
    rule's condition became true; ``firstAt`` that of the first entry of the evidence. ``bankId`` is
    there where all of the evidence is one bank's."""

    rule: str
    title: str
    level: str
    at: str
    firstAt: str
    completedBy: str
    group: dict[str, str]
    evidence: list[str]
    evidenceCount: int
    bankId: NotRequired[str]
    deviceToken: NotRequired[str]
    customerId: NotRequired[str]
    merchantId: NotRequired[str]


class Acknowledged(TypedDict):
    """A security lead took note of an alert."""

    alert: str
    actor: str
    at: str
    note: NotRequired[str]


class Late(TypedDict):
    """Records that came after the detector had passed their time: ``refs`` names up to 100."""

    count: int
    refs: list[str]
    passed: str


def alert_id(rule: str, group: Mapping[str, str], completed_by: str) -> str:
    """The alert's ID (a UUIDv5)."""
    named = orjson.dumps([rule, sorted(group.items()), completed_by])
    return str(uuid.uuid5(_NAMESPACE, named.decode()))


def newest(refs: Sequence[str]) -> list[str]:
    """The references that an alert names, of all in order."""
    return list(refs[-EVIDENCE_MAX:])


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """A decoded record of the alerts topic; ``data`` has the fields of the class that belongs to
    its ``type``. ``id`` is the alert's where it is raised, else a UUIDv7."""

    id: str
    source: str
    type: str
    time: str
    data: dict[str, Any]


def encode(record: AlertRecord) -> bytes:
    """The value of its Kafka record."""
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": record.id,
        "source": record.source,
        "type": record.type,
        "time": record.time,
        "datacontenttype": "application/json",
        "data": record.data,
    }
    return orjson.dumps(body)


def decode(value: bytes) -> AlertRecord:
    """Read a record.

    Raises:
        MalformedRecordError: these are not the bytes of a record of the alerts topic.
    """
    try:
        body = orjson.loads(value)
        return AlertRecord(
            id=body["id"],
            source=body["source"],
            type=body["type"],
            time=body["time"],
            data=body["data"],
        )
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise MalformedRecordError(f"not an alert: {type(error).__name__}") from None
