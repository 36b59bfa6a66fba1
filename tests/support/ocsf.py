"""The OCSF 1.8 schema, offline: what a document breaks of it."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

VERSION = "1.8.0"
Document = dict[str, Any]


def problems_of(document: Document) -> list[str]:
    """What is wrong with a document; nothing where it is an event of its class."""
    name = _class_name(document["class_uid"])
    errors = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in _validator(name, *document["metadata"].get("profiles", ())).iter_errors(
            document
        )
    ]
    return errors + _unlike_their_ids(document, _schema()["classes"][name], name)


def _unlike_their_ids(document: Document, described: Document, where: str) -> list[str]:
    """Words beside an ID that aren't the schema's for it, all the way down; and what a class asks
    for at least one of: the generated JSON Schema has neither."""
    wrong = []
    attributes = described["attributes"]
    for name, value in document.items():
        attribute = attributes.get(name, {})
        word = document.get(attribute.get("sibling", ""))
        if word is not None and "enum" in attribute:
            caption = attribute["enum"].get(str(value), {}).get("caption")
            if word != caption:
                wrong.append(f"{where}.{name}: {word} is called {caption}")
        inner = _schema()["objects"].get(attribute.get("object_type", ""))
        for one in value if isinstance(value, list) else [value]:
            if inner and isinstance(one, dict) and inner["attributes"]:
                wrong += _unlike_their_ids(one, inner, f"{where}.{name}")
    either = described.get("constraints", {}).get("at_least_one", list(document))
    if not set(either) & set(document):
        wrong.append(f"{where}: one of {either} is needed")
    return wrong


@cache
def _schema() -> Document:
    found: Document = get_ocsf_schema(version=VERSION)
    return found


def _class_name(class_uid: int) -> str:
    return str(OcsfJsonSchemaEmbedded(_schema()).lookup_class_name_from_uid(class_uid))


@cache
def _validator(class_name: str, *profiles: str) -> Draft202012Validator:
    generated = OcsfJsonSchemaEmbedded(_schema()).get_class_schema(class_name, list(profiles))
    Draft202012Validator.check_schema(generated)
    return Draft202012Validator(generated)
