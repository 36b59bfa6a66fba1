"""JSON schemas of what the wire's classes declare."""

from typing import Any, Final, get_args, get_origin, get_type_hints, is_typeddict

TIME: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
SOURCE: Final = {"type": "string", "pattern": "^urn:device-ledger:[0-9a-f-]{36}:[0-9]+$"}
TOKEN: Final = {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"}
UUID: Final = {"type": "string", "format": "uuid"}
_UUIDS: Final = frozenset(("userId", "registrationId"))
_TIMES: Final = frozenset(("at", "passed", "through"))


def envelope(
    kind: dict[str, Any],
    data: dict[str, Any],
    attributes: dict[str, Any],
    optional: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The schema of a CloudEvent whose ``type`` is of that schema, with its data."""
    always = {
        "specversion": {"const": "1.0"},
        "type": kind,
        "datacontenttype": {"const": "application/json"},
        **attributes,
        "data": data,
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(always),
        "properties": always | (optional or {}),
    }


def object_of(declared: Any) -> dict[str, Any]:
    """The schema of a class with fields: a TypedDict, or a dataclass whose fields are all there."""
    hints = get_type_hints(declared)
    return {
        "type": "object",
        "description": " ".join((declared.__doc__ or "").split()),
        "additionalProperties": False,
        "required": sorted(getattr(declared, "__required_keys__", hints)),
        "properties": {name: _field(name, of) for name, of in hints.items()},
    }


def _field(name: str, declared: Any) -> dict[str, Any]:
    if is_typeddict(declared):
        return object_of(declared)
    if name.endswith("At") or name in _TIMES:
        return {"type": "string", "pattern": TIME}
    if name in _UUIDS:
        return dict(UUID)
    if get_origin(declared) is list:
        return {"type": "array", "items": _plain(get_args(declared)[0])}
    if get_origin(declared) is dict:
        return {"type": "object", "additionalProperties": _plain(get_args(declared)[1])}
    return _plain(declared)


def _plain(declared: Any) -> dict[str, Any]:
    return {"type": {str: "string", int: "integer"}[declared]}
