"""docs/asyncapi.yaml, made from the wire's classes; ``python -m tests.support.asyncapi`` writes it.

The document says of a field what its class says: nothing in it is written twice.
"""

from pathlib import Path
from typing import Any, Final

import yaml

from device_ledger import __version__
from device_ledger.wire import events, topics
from device_ledger.wire.codec import PREV_HEADER
from tests.support import asyncapi_schemas, asyncapi_topics

FILE: Final = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
CLASSES: Final[dict[str, Any]] = {
    events.DEVICE_REGISTERED: events.DeviceRegistered,
    events.DEVICE_LINKED: events.DeviceLinked,
    events.DEVICE_UNLINKED: events.DeviceUnlinked,
    events.DEVICE_LOGIN_SEEN: events.DeviceLoginSeen,
    events.DEVICE_DEACTIVATED: events.DeviceDeactivated,
    events.DEVICE_ERASED: events.DeviceErased,
    events.COMMAND_REFUSED: events.CommandRefused,
    events.LEDGER_RESTORED: events.LedgerRestored,
}

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
            **asyncapi_topics.channels(),
        },
        "operations": {
            f"send{name[0].upper()}{name[1:]}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{name}"},
            }
            for name in ("events", *asyncapi_topics.channels())
        },
        "components": {
            "messages": {
                **{_name(kind): _message(kind) for kind in CLASSES},
                **asyncapi_topics.messages(),
            },
            "schemas": {
                **{_name(kind): envelope(kind) for kind in CLASSES},
                **asyncapi_topics.schemas(),
            },
        },
    }


def envelope(kind: str) -> dict[str, Any]:
    """The JSON schema of a public event of that type: a CloudEvent with its data."""
    position = {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "Ledger position."}
    return asyncapi_schemas.envelope(
        {"const": kind},
        asyncapi_schemas.object_of(CLASSES[kind]),
        {
            "id": position,
            "source": asyncapi_schemas.SOURCE,
            "subject": asyncapi_schemas.TOKEN,
            "time": {"type": "string", "pattern": asyncapi_schemas.TIME},
        },
    )


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
    head = "# Made from src/device_ledger/wire: python -m tests.support.asyncapi\n"
    return head + str(yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=100))


if __name__ == "__main__":
    FILE.write_text(text())
