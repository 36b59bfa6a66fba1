"""The Peere family's shapes: what banks and merchants send and are answered."""

from typing import Annotated, Any, Final

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import Response

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
        json_schema_extra={"minLength": 1, "maxLength": values.DEVICE_ID_LENGTH_MAX},
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


_ERRORS: Final[dict[int, tuple[str, str]]] = {
    400: ("The request breaks a rule of its fields.", "Invalid device ID format"),
    401: ("There is no bearer token, or it doesn't hold.", "A bearer token is needed"),
    403: ("The token is not for this call.", "The token lacks the scope for this"),
    404: ("There is no such device.", "Device not found in system"),
    409: ("Something else is the case already.", "Device already linked to another customer"),
    413: ("The body is larger than 64 KiB.", "The request body is too large"),
    422: (
        "The Idempotency-Key came before with another body.",
        "Idempotency-Key was already used with another request",
    ),
    429: ("The caller's rate limit is used up.", "Too many requests; try again later"),
    503: ("It can't be done right now.", "The service is not available right now; try again"),
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a route."""
    return {
        status: {
            "model": Outcome,
            "description": _ERRORS[status][0],
            "content": {
                "application/json": {
                    "example": {
                        "statusCode": status,
                        "success": False,
                        "message": _ERRORS[status][1],
                    }
                }
            },
        }
        for status in statuses
    }
