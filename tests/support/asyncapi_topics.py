"""The topics beside the events, as docs/asyncapi.yaml describes them."""

from typing import Any, Final

from device_ledger.wire import access, alerts, progress, topics
from device_ledger.wire.dead_letters import (
    COORDINATES,
    CUT,
    EVERY_READ_MODEL,
    GONE,
    READ_MODEL,
    REASON,
    REPLAYED,
    SETTLED,
)
from tests.support.asyncapi_schemas import SOURCE, TIME, TOKEN, UUID, envelope, object_of

ALERTS: Final[dict[str, Any]] = {
    alerts.ALERT_RAISED: alerts.Alert,
    alerts.ALERT_ACKNOWLEDGED: alerts.Acknowledged,
    alerts.RECORDS_LATE: alerts.Late,
}
_ATTRIBUTES: Final = {"id": UUID, "source": SOURCE, "time": {"type": "string", "pattern": TIME}}
_CLOUDEVENT: Final = "application/cloudevents+json; charset=utf-8"

_ACCESS: Final = """\
Who looked at what, and which requests were refused before they became commands: acknowledged before
the caller has the answer. A record's value is NDJSON: each line is a CloudEvent whose id is a
UUIDv7, and which is a leaf of the access log's Merkle tree as its exact bytes. A repeated id is the
same act told twice: apply it once. The order is that of arrival, not of time: what was recorded
while Kafka was away comes later. Its one partition is never deleted from.
"""
_ALERTS: Final = """\
What the rules find as it happens: an alert once, when the condition of its rule becomes true; who
took note of it; and records that came too late for the rules to see them in their time. The same
history and rules give the same alert ids again.
"""
_CHECKPOINTS: Final = """\
Signed checkpoints of the logs' Merkle trees (C2SP signed-note and tlog-checkpoint, Ed25519): the
key names the log, events or access, the value is the note's text. A later checkpoint of a log
extends every earlier one, which its consistency proofs show.
"""
_PROGRESS: Final = """\
How far the relay is, once to four times a second: a reader may take everything up to that time as
there. Records are kept for an hour.
"""
_DEAD_LETTERS: Final = """\
A record of the events topic that was no event is put aside here, as it came, so that its
partition goes on. None is expected: each one means that something else wrote to the topic.
"""


def channels() -> dict[str, Any]:
    """Each topic with its messages."""
    return {
        "access": _channel(topics.ACCESS, "Who looked at what", _ACCESS, "AccessRecords"),
        "alerts": _channel(
            topics.ALERTS,
            "What the rules find",
            _ALERTS,
            *(one.__name__ for one in ALERTS.values()),
        ),
        "checkpoints": _channel(
            topics.CHECKPOINTS, "What fixes the past", _CHECKPOINTS, "Checkpoint"
        ),
        "progress": _channel(topics.PROGRESS, "How far the relay is", _PROGRESS, "Progress"),
        "deadLetters": _channel(
            topics.DEAD_LETTERS, "Records that no reader could read", _DEAD_LETTERS, "deadLetter"
        ),
    }


def messages() -> dict[str, Any]:
    """The messages of these topics."""
    return {
        "AccessRecords": {
            **_message("access records", access, "application/x-ndjson", _payload("AccessRecord")),
            "description": "The payload's schema is that of a line; a value has one or more.",
        },
        **{
            one.__name__: _message(kind, one, _CLOUDEVENT, _payload(one.__name__))
            for kind, one in ALERTS.items()
        },
        "Checkpoint": {
            "name": "checkpoint",
            "summary": "A signed note that fixes a log's size and root.",
            "contentType": "text/plain; charset=utf-8",
            "payload": {"type": "string"},
            "bindings": _key({"type": "string", "enum": ["events", "access"]}),
        },
        "Progress": _message(
            "progress", progress.Progress, "application/json", _payload("Progress")
        ),
        "deadLetter": _DEAD_LETTER,
    }


def schemas() -> dict[str, Any]:
    """The schemas of their payloads; ``AccessRecord`` is that of a line."""
    return {
        "AccessRecord": envelope(
            {"enum": list(access.ACCESS_TYPES)},
            object_of(access.Access),
            _ATTRIBUTES,
            {"subject": TOKEN},
        ),
        **{
            one.__name__: envelope({"const": kind}, object_of(one), _ATTRIBUTES)
            for kind, one in ALERTS.items()
        },
        "Progress": object_of(progress.Progress),
    }


def _channel(address: str, title: str, description: str, *names: str) -> dict[str, Any]:
    return {
        "address": address,
        "title": title,
        "description": " ".join(description.split()),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }


def _message(name: str, told_by: Any, media_type: str, payload: dict[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "summary": " ".join((told_by.__doc__ or "").split("\n\n")[0].split()),
        "contentType": media_type,
        "payload": payload,
    }


def _payload(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _key(schema: dict[str, Any]) -> dict[str, Any]:
    return {"kafka": {"key": schema, "bindingVersion": "0.5.0"}}


_DEAD_LETTER: Final[dict[str, Any]] = {
    "name": "dead letter",
    "summary": "A record as it came, its key, value and headers, and three headers of ours; or"
    " one that settles a letter, without a value.",
    "headers": {
        "type": "object",
        "required": [READ_MODEL, COORDINATES],
        "properties": {
            READ_MODEL: {
                "type": "string",
                "description": f"The read model that lacks it; {EVERY_READ_MODEL}: each that is"
                " made from the topic.",
            },
            REASON: {"type": "string", "description": "Why; never a value of the record's."},
            COORDINATES: {
                "type": "string",
                "pattern": "^.+/[0-9]+/[0-9]+$",
                "description": "Topic, partition and offset.",
            },
            CUT: {
                "type": "string",
                "description": "There where the record was too large to be sent again: it lies at"
                " its coordinates only.",
            },
            SETTLED: {
                "type": "string",
                "enum": [REPLAYED, GONE],
                "description": "Settles the letter of these coordinates and this read model: it has"
                " the record now, or the topic has another one there.",
            },
        },
    },
    "payload": {"description": "Whatever bytes lay there."},
}
