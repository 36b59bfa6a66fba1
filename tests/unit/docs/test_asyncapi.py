"""docs/asyncapi.yaml says what the event classes say, and real events are what it says."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from device_ledger.wire.codec import public_bytes
from device_ledger.wire.events import EVENT_TYPES
from tests.support import asyncapi

GOLDEN = Path(__file__).parents[2] / "contract" / "events" / "golden"
DOCUMENT: dict[str, Any] = yaml.safe_load(asyncapi.FILE.read_text())


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
