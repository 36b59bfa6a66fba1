"""Access records: who looked at what, and what was refused before it became a command.

One is a CloudEvent in structured JSON whose ``id`` is a UUIDv7 (RFC 9562) and whose ``subject`` is
the device token it is about, if any. A Kafka record of the access topic carries all of a flush,
one a line (NDJSON), so that the exact bytes of each stand alone: a line is a leaf of the access
log's Merkle tree. A repeated ``id`` is the same act told twice; readers apply it once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NotRequired, TypedDict

import orjson

from device_ledger.wire.codec import MalformedRecordError
from device_ledger.wire.events import Actor

DEVICE_LOOKED_UP: Final = "device.looked_up.v1"
DEVICES_LISTED: Final = "devices.listed.v1"
REQUEST_REFUSED: Final = "request.refused.v1"
TRAIL_SEARCHED: Final = "trail.searched.v1"
HOLDER_ASKED: Final = "holder.asked.v1"
ALERTS_READ: Final = "alerts.read.v1"
ALERT_ACKNOWLEDGED: Final = "alert.acknowledged.v1"
REPLAY_STARTED: Final = "replay.started.v1"
REPLAY_READ: Final = "replay.read.v1"
REPLAY_CANCELLED: Final = "replay.cancelled.v1"
LOG_READ: Final = "log.read.v1"
CUSTOMER_ERASED: Final = "customer.erased.v1"
VALUES_REVEALED: Final = "values.revealed.v1"
CHECKPOINT_CHECKED: Final = "checkpoint.checked.v1"

ACCESS_TYPES: Final = (
    DEVICE_LOOKED_UP,
    DEVICES_LISTED,
    REQUEST_REFUSED,
    TRAIL_SEARCHED,
    HOLDER_ASKED,
    ALERTS_READ,
    ALERT_ACKNOWLEDGED,
    REPLAY_STARTED,
    REPLAY_READ,
    REPLAY_CANCELLED,
    LOG_READ,
    CUSTOMER_ERASED,
    VALUES_REVEALED,
    CHECKPOINT_CHECKED,
)

NDJSON_HEADER: Final = ("content-type", b"application/x-ndjson")


class Access(TypedDict):
    """What an access record says.

    ``outcome`` is ``found``, ``not-found``, ``done`` or ``refused``; ``code`` is the reason of a
    refusal (or of a check that failed), ``caller`` the kind of caller: ``bank``, ``merchant``,
    ``user``, ``admin``, ``security`` or ``lead``; absent where no caller was admitted, though a
    verified token tells its ``actor``. ``bankId``, ``customerId`` and ``userId`` are those whose
    data were shown, in a refusal ``bankId`` is the caller's own; ``addressToken`` is of the peer,
    ``route`` the route's template, ``count`` how many rows were shown, ``about`` the ID of the
    alert or replay, ``reason`` what a revealing or erasing officer gave as the reason.
    """

    outcome: str
    requestId: str
    code: NotRequired[str]
    status: NotRequired[int]
    caller: NotRequired[str]
    actor: NotRequired[Actor]
    bankId: NotRequired[str]
    customerId: NotRequired[str]
    userId: NotRequired[str]
    merchantId: NotRequired[str]
    addressToken: NotRequired[str]
    route: NotRequired[str]
    count: NotRequired[int]
    about: NotRequired[str]
    reason: NotRequired[str]


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """A decoded access record; ``time`` is when it was recorded, ``data`` an :class:`Access`."""

    id: str
    source: str
    type: str
    subject: str | None
    time: str
    data: dict[str, Any]


def encode(record: AccessRecord) -> bytes:
    """The record's exact bytes: one line without its end."""
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": record.id,
        "source": record.source,
        "type": record.type,
    }
    if record.subject is not None:
        body["subject"] = record.subject
    body |= {"time": record.time, "datacontenttype": "application/json", "data": record.data}
    return orjson.dumps(body)


def decode(line: bytes) -> AccessRecord:
    """Read one record.

    Raises:
        MalformedRecordError: these are not the bytes of an access record.
    """
    try:
        body = orjson.loads(line)
        return AccessRecord(
            id=body["id"],
            source=body["source"],
            type=body["type"],
            subject=body.get("subject"),
            time=body["time"],
            data=body["data"],
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise MalformedRecordError(f"not an access record: {type(error).__name__}") from None


def join(lines: Sequence[bytes]) -> bytes:
    """The value of the Kafka record that carries these lines."""
    return b"\n".join(lines)


def split(value: bytes) -> list[bytes]:
    """The lines of a Kafka record's value."""
    return value.split(b"\n")
