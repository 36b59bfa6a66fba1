"""The family's errors: problems of RFC 9457, as OpenAPI tells them."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, Field

from api.errors import NOT_AUTHENTICATED, SECURITY, TRY_AGAIN, Refusal

SCHEMA: Final = "Problem"


class Problem(BaseModel):
    """Why a request was refused (RFC 9457). ``code`` is stable: programs may rely on it."""

    type: str = Field(examples=["urn:device-ledger:problem:bad-input"])
    title: str = Field(examples=["Bad request"])
    status: int = Field(examples=[400])
    detail: str = Field(examples=["limit: Input should be less than or equal to 200"])
    code: str = Field(examples=["bad-input"])
    field: str | None = Field(
        None, description="What of the request breaks a rule.", examples=["limit"]
    )


_USUAL: Final[Mapping[int, tuple[str, Refusal]]] = {
    400: (
        "A field breaks its rule, and is named.",
        Refusal(
            400, "bad-input", "limit: Input should be less than or equal to 200", field="limit"
        ),
    ),
    401: (
        "There is no bearer token, or it doesn't hold.",
        Refusal(401, "no-token", NOT_AUTHENTICATED),
    ),
    403: (
        "The token is not for this call.",
        Refusal(403, "forbidden", "The token lacks the scope for this"),
    ),
    413: (
        "The body is larger than 64 KiB.",
        Refusal(413, "http-413", "The request body is too large"),
    ),
    429: (
        "The caller's rate limit is used up.",
        Refusal(429, "rate-limited", "Too many requests; try again later"),
    ),
    503: ("It can't be done right now.", Refusal(503, "away", TRY_AGAIN)),
}


def problems(*more: int | tuple[str, Refusal]) -> dict[int | str, dict[str, Any]]:
    """The documented refusals of a route: the usual ones, and more by description and example.

    A status alone asks for one that is usual for bodies (413).
    """
    told = dict(_USUAL)
    del told[413]
    for one in more:
        if isinstance(one, int):
            told[one] = _USUAL[one]
        else:
            told[one[1].status] = one
    found: dict[int | str, dict[str, Any]] = {
        status: _response(description, SECURITY.content(status, refusal))
        for status, (description, refusal) in sorted(told.items())
    }
    # Named, so that the framework adds no 422 of its own.
    return found | {"default": _response("Any other refusal.")}


def _response(description: str, example: object = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{SCHEMA}"}}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {SECURITY.media_type: content}}
