"""docs/asyncapi.yaml says what the event classes say, and real events are what it says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from device_ledger.wire import alerts, topics
from device_ledger.wire.access import ACCESS_TYPES, AccessRecord, encode
from device_ledger.wire.codec import public_bytes
from device_ledger.wire.events import EVENT_TYPES
from tests.support import asyncapi

GOLDEN = Path(__file__).parents[2] / "contract" / "events" / "golden"
DOCUMENT: dict[str, Any] = yaml.safe_load(asyncapi.FILE.read_text())


LOOKED_UP = AccessRecord(
    id="019a0000-0000-7000-8000-000000000001",
    source="urn:device-ledger:019a0000-0000-7000-8000-000000000000:1",
    type=ACCESS_TYPES[0],
    subject="a" * 43,
    time="2026-01-31T09:30:00.000Z",
    data={"outcome": "not-found", "requestId": "r-1", "actor": {"subject": "shop"}},
)
RAISED = alerts.AlertRecord(
    id="019a0000-0000-5000-8000-000000000001",
    source=LOOKED_UP.source,
    type=alerts.ALERT_RAISED,
    time=LOOKED_UP.time,
    data={
        "rule": "device-farm",
        "title": "A device cycles through customers",
        "level": "high",
        "at": LOOKED_UP.time,
        "firstAt": LOOKED_UP.time,
        "completedBy": "17",
        "group": {"device_token": "a" * 43},
        "evidence": ["12", "17"],
        "evidenceCount": 2,
    },
)


def golden(kind: str) -> Any:
    """A public event of that type, as the ledger sends it."""
    return json.loads(public_bytes(7, (GOLDEN / f"{kind}.json").read_bytes()))


def schema(kind: str) -> Draft202012Validator:
    """The schema that the document has for that type."""
    name = asyncapi.CLASSES[kind].__name__
    return Draft202012Validator(DOCUMENT["components"]["schemas"][name])


def test_the_document_is_the_one_that_the_classes_make() -> None:
    assert asyncapi.FILE.read_text() == asyncapi.text()


def test_every_type_is_described() -> None:
    assert set(asyncapi.CLASSES) == set(EVENT_TYPES)
    assert len(DOCUMENT["channels"]["events"]["messages"]) == len(EVENT_TYPES)


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_a_real_event_is_what_the_document_says(kind: str) -> None:
    schema(kind).validate(golden(kind))


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_an_event_with_a_field_more_less_or_changed_is_not(kind: str) -> None:
    more, less, changed = golden(kind), golden(kind), golden(kind)
    more["data"]["deviceName"] = "Anna's phone"
    del less["data"]["userId"]
    changed["data"]["recordedAt"] = "2026-01-31"
    for wrong in (more, less, changed):
        with pytest.raises(ValidationError):
            schema(kind).validate(wrong)


def test_an_access_record_is_what_the_document_says() -> None:
    schema = Draft202012Validator(DOCUMENT["components"]["schemas"]["AccessRecord"])
    for kind in ACCESS_TYPES:
        schema.validate(json.loads(encode(replace(LOOKED_UP, type=kind))))
    for wrong in (
        replace(LOOKED_UP, type="device.linked.v1"),
        replace(LOOKED_UP, subject="device-1"),
        replace(LOOKED_UP, data=LOOKED_UP.data | {"search": "device-1"}),
        replace(LOOKED_UP, data={}),
    ):
        with pytest.raises(ValidationError):
            schema.validate(json.loads(encode(wrong)))


def test_an_alert_is_what_the_document_says() -> None:
    schema = Draft202012Validator(DOCUMENT["components"]["schemas"]["Alert"])
    alert = json.loads(alerts.encode(RAISED))
    schema.validate(alert)
    alert["data"]["group"] = {"device_token": 7}
    with pytest.raises(ValidationError):
        schema.validate(alert)


def test_every_topic_is_described() -> None:
    described = [channel["address"] for channel in DOCUMENT["channels"].values()]
    assert sorted(described) == sorted((topics.EVENTS, *topics.SINGLE))


def test_every_reference_leads_somewhere() -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for value in node.values() for found in references(value)]
        return (
            [found for each in node for found in references(each)] if isinstance(node, list) else []
        )

    for reference in references(DOCUMENT):
        node = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
