"""What bodies and queries of the family are made of."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from api.callers import NAME_LENGTH_MAX, UUID_PATTERN
from api.cursor import UnknownCursorError
from api.errors import Refusal
from api.moments import moment, written
from api.peere import Body, DeviceId
from api.security.callers import Security
from api.services import Services
from device_ledger.vault.tokens import TokenKey
from device_ledger.wire.access import ACCESS_TYPES
from device_ledger.wire.events import EVENT_TYPES

REASON_LENGTH_MAX: Final = 256
OUTCOMES: Final = ("done", "refused", "found", "not-found")


def _printable(name: str) -> AfterValidator:
    def check(text: str) -> str:
        if not text.isprintable() or not text.strip():
            raise ValueError(f"{name} must be printable characters")
        return text

    return AfterValidator(check)


def _named(name: str, length: int, example: str, description: str) -> Any:
    return Annotated[
        str,
        StringConstraints(min_length=1, max_length=length),
        _printable(name),
        Field(description=description, examples=[example]),
    ]


def _moment(name: str, description: str, *, past: bool = False) -> Any:
    def read(text: str) -> str:
        at = moment(name, text)
        if past and at > datetime.now(UTC):
            raise ValueError(f"{name} must not be in the future")
        return written(at)

    return Annotated[
        str,
        AfterValidator(read),
        Field(
            description=description,
            examples=["2026-01-31T09:30:00.000Z"],
            json_schema_extra={"format": "date-time"},
        ),
    ]


Token = Annotated[
    str,
    StringConstraints(pattern="^[A-Za-z0-9_-]{43}$"),
    Field(
        description="A device's token, as the trail tells it.",
        examples=["Vn3UZ8m1QkM0xw7Yd2bC5tRr4hLqPz9sJfA6eGiKoTU"],
    ),
]
BankId = _named("bankId", NAME_LENGTH_MAX, "bank-1", "One bank's; the officer's own at most.")
MerchantId = _named("merchantId", NAME_LENGTH_MAX, "shop-1", "One merchant's.")
Actor = _named("actor", 255, "service-1", "The subject of the token that acted.")
Reason = _named("reason", REASON_LENGTH_MAX, "case 2026-114", "Why: it is kept in the trail.")
RequestedBy = _named(
    "requestedBy", 128, "customer", "Who wants it: never a name. It stands in the receipt."
)
Note = _named("note", 1_000, "called the customer, it was her", "Kept with the acknowledgement.")
UserId = Annotated[
    str,
    StringConstraints(pattern=UUID_PATTERN, to_lower=True),
    Field(
        description="A user, as `login-seen` answers it.",
        examples=["7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"],
    ),
]
From = _moment("from", "The first moment (RFC 3339).")
PastFrom = _moment("from", "The first moment (RFC 3339).", past=True)
PastMoment = _moment("at", "The moment asked about (RFC 3339).", past=True)
To = _moment("to", "The moment before which it ends (RFC 3339).")
Limit = Annotated[int, Field(ge=1, le=200)]
Cursor = Annotated[
    str,
    Field(max_length=4096, description="The `next` of the page before, for the same question."),
]
_TYPES: Final = (*EVENT_TYPES, *ACCESS_TYPES)


def _type_of_the_trail(text: str) -> str:
    if text not in _TYPES:
        raise ValueError("types must be types of events or access records")
    return text


RuleName = Annotated[
    str,
    StringConstraints(pattern="^[a-z0-9][a-z0-9_-]{0,63}$"),
    Field(description="A rule's file name without `.yml`.", examples=["device-farm"]),
]
EntryType = Annotated[
    str,
    AfterValidator(_type_of_the_trail),
    Field(examples=["device.linked.v1"], json_schema_extra={"enum": list(_TYPES)}),
]
Outcome = Literal["done", "refused", "found", "not-found"]


class DeviceRef(Body):
    """A device, by its ID or by its token: exactly one of the two."""

    deviceId: DeviceId | None = None  # noqa: N815 - JSON's own name
    deviceToken: Token | None = None  # noqa: N815

    @model_validator(mode="after")
    def _is_one(self) -> "DeviceRef":
        if (self.deviceId is None) == (self.deviceToken is None):
            raise ValueError("deviceId or deviceToken is needed, one of them")
        return self

    def token(self, tokens: TokenKey) -> str:
        """The device's token; the ID goes no further than here."""
        return self.deviceToken or tokens.device(str(self.deviceId))


def bank_of(caller: Security, asked: str | None) -> str | None:
    """The only bank whose things may be shown: the officer's, else the one asked for, else none.

    Raises:
        Refusal: 403, it was asked for another bank than the officer's.
    """
    if caller.bank_id is None:
        return asked
    if asked not in {None, caller.bank_id}:
        raise Refusal(403, "other-bank", "The token is for another bank", field="bankId")
    return caller.bank_id


def check_range(start: str | None, end: str | None) -> None:
    """Refuse a time range that ends before it starts.

    Raises:
        Refusal: 400.
    """
    if start is not None and end is not None and start >= end:
        raise Refusal(400, "bad-input", "to must be after from", field="to")


def after_cursor(
    services: Services, cursor: str | None, question: list[str], name: str = "cursor"
) -> list[str | int] | None:
    """Where the page before ended; nothing for the first page.

    Raises:
        Refusal: 400, the cursor is of another question, or of another caller's narrowing.
    """
    if cursor is None:
        return None
    try:
        return services.cursors.decode(cursor, question)
    except UnknownCursorError:
        raise Refusal(
            400, "unknown-cursor", f"{name} is not of this question", field=name
        ) from None
