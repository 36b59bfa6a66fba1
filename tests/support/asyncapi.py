"""docs/asyncapi.yaml, made from the event classes; ``python -m tests.support.asyncapi`` writes it.

The document says of a field what its class says: nothing in it is written twice.
"""

from pathlib import Path
from typing import Any, Final, get_type_hints, is_typeddict

import yaml

from device_ledger import __version__
from device_ledger.wire import events, topics
from device_ledger.wire.codec import PREV_HEADER

FILE: Final = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
CLASSES: Final[dict[str, Any]] = {
    events.DEVICE_REGISTERED: events.DeviceRegistered,
    events.DEVICE_LINKED: events.DeviceLinked,
    events.DEVICE_UNLINKED: events.DeviceUnlinked,
    events.DEVICE_LOGIN_SEEN: events.DeviceLoginSeen,
    events.DEVICE_DEACTIVATED: events.DeviceDeactivated,
    events.DEVICE_ERASED: events.DeviceErased,
    events.COMMAND_REFUSED: events.CommandRefused,
}
_TIME: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
_UUIDS: Final = frozenset(("userId", "registrationId"))

_INFO = """\
What a device ledger tells on Kafka: every change to the devices of banks' customers.
Values that identify a person or device are tokens (keyed hashes) or sealed: this document's
reader can follow a device through its events, and learns nothing of who holds it.
"""
_EVENTS = """\
A public event is a CloudEvent 1.0 in structured JSON. It is here at least once, and in the order
of its partition. A reader applies a record whose header prev is the id that the reader stands at,
drops one whose id is not above it, and fetches what is missing before any other: then every event
takes effect once. Its subject is the device's token (for a refusal without a device, the
customer's), which is also the record's key. Records are never deleted. userId and customerId are
the bank's pseudonyms.
"""
_DEAD_LETTERS = """\
A record of the events topic that was no event is put aside here, as it came, so that its
partition goes on. None is expected: each one means that something else wrote to the topic.
"""
_DEAD_LETTER: Final[dict[str, Any]] = {
    "deadLetter": {
        "name": "dead letter",
        "summary": "A record as it came: its key, value and headers, and three headers of ours.",
        "headers": {
            "type": "object",
            "required": [
                "dead-letter-reader",
                "dead-letter-reason",
                "dead-letter-coordinates",
            ],
            "properties": {
                "dead-letter-reader": {"type": "string", "description": "The read model."},
                "dead-letter-reason": {"type": "string"},
                "dead-letter-coordinates": {
                    "type": "string",
                    "pattern": "^[0-9]+/[0-9]+$",
                    "description": "Partition and offset on the events topic.",
                },
            },
        },
        "payload": {"description": "Whatever bytes lay there."},
    }
}


def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Device Ledger",
            "version": __version__,
            "description": " ".join(_INFO.split()),
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": "application/json",
        "channels": {
            "events": {
                "address": topics.EVENTS,
                "title": "All events, in order within a partition",
                "description": " ".join(_EVENTS.split()),
                "messages": {_name(kind): _reference("messages", kind) for kind in CLASSES},
            },
            "deadLetters": {
                "address": topics.DEAD_LETTERS,
                "title": "Records that no reader could read",
                "description": " ".join(_DEAD_LETTERS.split()),
                "messages": {"deadLetter": {"$ref": "#/components/messages/deadLetter"}},
            },
        },
        "operations": {
            "sendEvents": {"action": "send", "channel": {"$ref": "#/channels/events"}},
            "sendDeadLetters": {"action": "send", "channel": {"$ref": "#/channels/deadLetters"}},
        },
        "components": {
            "messages": {**{_name(kind): _message(kind) for kind in CLASSES}, **_DEAD_LETTER},
            "schemas": {_name(kind): envelope(kind) for kind in CLASSES},
        },
    }


def envelope(kind: str) -> dict[str, Any]:
    """The JSON schema of a public event of that type: a CloudEvent with its data."""
    fixed = {"specversion": "1.0", "type": kind, "datacontenttype": "application/json"}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [*fixed, "id", "source", "subject", "time", "data"],
        "properties": {
            **{name: {"const": value} for name, value in fixed.items()},
            "id": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "Ledger position."},
            "source": {"type": "string", "pattern": "^urn:device-ledger:[0-9a-f-]{36}:[0-9]+$"},
            "subject": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"},
            "time": {"type": "string", "pattern": _TIME},
            "data": data(kind),
        },
    }


def data(kind: str) -> dict[str, Any]:
    """The JSON schema of the data of that type, as its class declares it."""
    return _object(CLASSES[kind])


def _object(declared: Any) -> dict[str, Any]:
    """The schema of a TypedDict whose fields are texts, numbers or TypedDicts."""
    return {
        "type": "object",
        "description": " ".join((declared.__doc__ or "").split()),
        "additionalProperties": False,
        "required": sorted(declared.__required_keys__),
        "properties": {name: _field(name, of) for name, of in get_type_hints(declared).items()},
    }


def _field(name: str, declared: Any) -> dict[str, Any]:
    if is_typeddict(declared):
        return _object(declared)
    if name.endswith("At"):
        return {"type": "string", "pattern": _TIME}
    if name in _UUIDS:
        return {"type": "string", "format": "uuid"}
    return {"type": {str: "string", int: "integer"}[declared]}


def _message(kind: str) -> dict[str, Any]:
    return {
        "name": kind,
        "title": kind,
        "summary": (CLASSES[kind].__doc__ or "").splitlines()[0],
        "contentType": "application/cloudevents+json; charset=utf-8",
        "headers": {
            "type": "object",
            "required": [PREV_HEADER],
            "properties": {
                PREV_HEADER: {
                    "type": "string",
                    "pattern": "^[0-9]+$",
                    "description": "Id of the event before it in its partition; 0 for the first.",
                }
            },
        },
        "payload": _reference("schemas", kind),
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "The event's subject."},
                "bindingVersion": "0.5.0",
            }
        },
    }


def _reference(section: str, kind: str) -> dict[str, str]:
    return {"$ref": f"#/components/{section}/{_name(kind)}"}


def _name(kind: str) -> str:
    return str(CLASSES[kind].__name__)


def text() -> str:
    """The document as it is committed."""
    head = "# Made from src/device_ledger/wire/events.py: python -m tests.support.asyncapi\n"
    return head + str(yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=100))


if __name__ == "__main__":
    FILE.write_text(text())
