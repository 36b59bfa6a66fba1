"""The Peere family's shapes: what banks and merchants send and are answered."""

from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import Response

from api import documented
from api.errors import PEERE
from device_ledger.domain import values

CustomerId = Annotated[
    str,
    AfterValidator(values.customer_id),
    Field(
        description="The bank's pseudonym for its customer, 1 to 128 printable characters. It"
        " stands in the clear in events for ever: never a name, address or account number.",
        examples=["customer-4711"],
        json_schema_extra={"minLength": 1, "maxLength": values.CUSTOMER_ID_LENGTH_MAX},
    ),
]
DeviceId = Annotated[
    str,
    AfterValidator(values.device_id),
    Field(
        description="1 to 128 characters of A-Z a-z 0-9 . _ ~ : + / = -, one a letter or digit.",
        examples=["d3v1c3-00000001"],
        json_schema_extra={
            "minLength": 1,
            "maxLength": values.DEVICE_ID_LENGTH_MAX,
            "pattern": values.DEVICE_ID_PATTERN,
        },
    ),
]
Phrase = Annotated[
    str,
    AfterValidator(values.phrase),
    Field(
        description="What the customer is recognised by, 1 to 256 characters; kept as written,"
        " compared without regard to case, width and white space.",
        examples=["blue heron at dawn"],
        json_schema_extra={"minLength": 1, "maxLength": values.PHRASE_LENGTH_MAX},
    ),
]


class Body(BaseModel):
    """A request's body: its types exactly, and no field that isn't known."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Outcome(BaseModel):
    """The answer of a call that gives no data."""

    statusCode: int  # noqa: N815 - the family's own name
    success: bool
    message: str


def answer(message: str, data: object = None, headers: dict[str, str] | None = None) -> Response:
    """A 200 of the family; ``data`` is left out where it is ``None``."""
    content: dict[str, object] = {"statusCode": 200, "success": True, "message": message}
    if data is not None:
        content["data"] = data
    return Response(orjson.dumps(content), 200, headers, "application/json")


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a route of this family."""
    return documented.errors(PEERE, Outcome, *statuses)
