"""Lines of the trail as JSON: the fields of ``wire.trail.Entry``, in camel case."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, create_model

from device_ledger.wire.trail import Entry


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


_NAMES: Final = tuple(_camel(name) for name in Entry._fields)
_ALWAYS: Final = Entry._fields[:6]

EXAMPLE: Final[dict[str, Any]] = {
    "ref": "4711",
    "log": "events",
    "at": "2026-01-31T09:30:00.000Z",
    "seq": 4711,
    "type": "device.linked.v1",
    "outcome": "done",
    "deviceToken": "Vn3UZ8m1QkM0xw7Yd2bC5tRr4hLqPz9sJfA6eGiKoTU",
    "bankId": "bank-1",
    "customerId": "customer-4711",
    "userId": "7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42",
    "registrationId": "0d5b7a42-9c1e-4f7a-8e55-1f2e6f5c7a42",
    "actor": "service-1",
    "requestId": "c2b7e6a0-1d0e-4a39-9d5b-2f9f6f5c7a42",
    "phraseToken": "k1xw7Yd2bC5tRr4hLqPz9sJfA6eGiKoTUVn3UZ8m1Qk",
}


class Revealed(BaseModel):
    """What an entry's tokens stand for; null where the key is gone, and then ``erased``."""

    deviceId: str | None = Field(None, examples=["d3v1c3-00000001"])  # noqa: N815 - JSON's own name
    phrase: str | None = Field(None, examples=["blue heron at dawn"])
    deviceName: str | None = Field(None)  # noqa: N815
    ipAddress: str | None = Field(None)  # noqa: N815
    erased: bool | None = Field(None)


_FIELDS: Final[dict[str, Any]] = {
    _camel(name): (kind if name in _ALWAYS else (kind, None))
    for name, kind in Entry.__annotations__.items()
}

TrailEntry: Final[Any] = create_model(
    "TrailEntry",
    __doc__="A line of the trail; a field that the record doesn't say is left out.",
    __config__=ConfigDict(json_schema_extra={"example": EXAMPLE}),
    revealed=(Revealed | None, None),
    **_FIELDS,
)


def told(entry: Entry) -> dict[str, Any]:
    """An entry as JSON, without what it doesn't say."""
    return {name: value for name, value in zip(_NAMES, entry, strict=True) if value is not None}
