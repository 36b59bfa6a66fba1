"""The errors of routes as OpenAPI tells them, with an example in the family's shape."""

from collections.abc import Mapping
from typing import Any, Final

from api.errors import (
    INVALID_DEVICE_ID,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    REFUSALS,
    STEP_UP,
    TRY_AGAIN,
    Family,
    Refusal,
)

Words = Mapping[int, tuple[str, str]]

_WORDS: Final[Words] = {
    400: ("The request breaks a rule of its fields.", INVALID_DEVICE_ID),
    401: ("There is no bearer token, or it doesn't hold.", NOT_AUTHENTICATED),
    403: ("The token is not for this call.", "The token lacks the scope for this"),
    404: ("There is no such device.", NOT_FOUND),
    409: ("Something else is the case already.", REFUSALS["device-taken"][1]),
    413: ("The body is larger than 64 KiB.", "The request body is too large"),
    422: ("The Idempotency-Key came before with another body.", REFUSALS["key-reused"][1]),
    429: ("The caller's rate limit is used up.", "Too many requests; try again later"),
    503: ("It can't be done right now.", TRY_AGAIN),
}
LOGIN_TOO_OLD: Final = (
    "The login is too old to remove a device: `WWW-Authenticate` asks for another (RFC 9470).",
    STEP_UP,
)


def errors(
    family: Family, model: type[Any], *statuses: int, words: Words | None = None
) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a route: description and example message of each status.

    Where 422 is none of them, the framework's own is kept out by naming a default.
    """
    told: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        description, message = (words or {}).get(status) or _WORDS[status]
        refusal = Refusal(status, f"http-{status}", message)
        example = {"example": family.content(status, refusal)}
        content = {"application/json": example}
        told[status] = {"model": model, "description": description, "content": content}
    if 422 not in told:
        told["default"] = {"model": model, "description": "Any other refusal."}
    return told
