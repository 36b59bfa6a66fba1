"""What callers are told when something is refused: one shape and one table of words a family.

A family is a group of paths that share an error format. Code raises ``Refusal`` (or the ledger
answers with a domain code); the family of the request's path turns it into bytes.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

_log = logging.getLogger(__name__)

NOT_FOUND: Final = "Device not found in system"
INVALID_DEVICE_ID: Final = "Invalid device ID format"
NOT_AUTHENTICATED: Final = "A bearer token is needed"
STEP_UP: Final = "A more recent login is needed"
TRY_AGAIN: Final = "The service is not available right now; try again"

# Codes of the domain and of receipts: the status and the words of the Peere family.
REFUSALS: Final[Mapping[str, tuple[int, str]]] = {
    "device-taken": (409, "Device already linked to another customer"),
    "phrase-taken": (409, "Phrase already belongs to another customer"),
    "other-phrase": (409, "Customer already has another phrase"),
    "too-many-devices": (409, "Customer has the most active devices that one may have"),
    "not-linked": (404, NOT_FOUND),
    "no-such-device": (404, NOT_FOUND),
    "no-such-customer": (404, "Customer not found"),
    "key-reused": (422, "Idempotency-Key was already used with another request"),
}

_PHRASES: Final[Mapping[int, str]] = {
    404: "No such address",
    405: "This address does not allow that method",
    413: "The request body is too large",
    500: "Something went wrong here; it is safe to try again with the same Idempotency-Key",
}


_TITLES: Final[Mapping[int, str]] = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Body too large",
    429: "Too many requests",
    500: "Failure",
    503: "Not available",
}


class Refusal(Exception):  # noqa: N818 - what a caller gets, be it anyone's error or not
    """A request is refused: HTTP status, words for the caller, headers.

    ``code`` names the reason for the audit trail and the logs, ``field`` what of the request breaks
    a rule; nothing carries a caller's value.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        *,
        field: str | None = None,
    ) -> None:
        super().__init__(code)
        self.field = field
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def refusal_of(code: str) -> Refusal:
    """The refusal that belongs to a code of the domain or of the receipts."""
    status, message = REFUSALS[code]
    return Refusal(status, code, message)


@dataclass(frozen=True, slots=True)
class Family:
    """The paths below ``prefix`` and how their errors look."""

    prefix: str
    content: Callable[[int, Refusal], object]
    media_type: str = "application/json"
    statuses: Mapping[int, int] = field(default_factory=dict)

    def response(self, refusal: Refusal) -> Response:
        """The response that tells a refusal in this family's shape."""
        status = refusal.status
        if refusal.code != "step-up":
            status = self.statuses.get(status, status)
        content = orjson.dumps(self.content(status, refusal))
        return Response(content, status, refusal.headers, self.media_type)


def _peere(status: int, refusal: Refusal) -> object:
    return {"statusCode": status, "success": False, "message": refusal.message}


def _netevia(_status: int, refusal: Refusal) -> object:
    return {"message": refusal.message}


def _banno(_status: int, refusal: Refusal) -> object:
    return refusal.message


def _problem(status: int, refusal: Refusal) -> object:
    """A problem of RFC 9457; ``code`` and ``field`` are members of ours."""
    problem: dict[str, object] = {
        "type": f"urn:device-ledger:problem:{refusal.code}",
        "title": _TITLES.get(status, "Refused"),
        "status": status,
        "detail": refusal.message,
        "code": refusal.code,
    }
    return problem | ({"field": refusal.field} if refusal.field else {})


PEERE: Final = Family("/", _peere)
NETEVIA: Final = Family("/settings/", _netevia)
# Banno's documents know no 401 but the one of step-up: no token or a bad one is 400.
BANNO: Final = Family("/a/consumer/api/v0/", _banno, statuses={401: 400, 422: 400})
SECURITY: Final = Family("/v1/security/", _problem, "application/problem+json")
USER_FAMILIES: Final = (NETEVIA, BANNO)

_FAMILIES: Final = (NETEVIA, BANNO, SECURITY)


def family_of(path: str) -> Family:
    """The family that a path belongs to; paths of none (as ``*``) are told as Peere's are."""
    return next((family for family in _FAMILIES if path.startswith(family.prefix)), PEERE)


def response_to(scope: Scope, refusal: Refusal) -> Response:
    """The response to a request that is refused."""
    scope.setdefault("state", {})["refusal"] = refusal.code
    return family_of(scope["path"]).response(refusal)


def refusal_of_status(status: int, headers: Mapping[str, str] | None = None) -> Refusal:
    """The refusal for a status that no rule of ours gave, as an unknown path or a failure."""
    return Refusal(status, f"http-{status}", _PHRASES.get(status, "Bad request"), headers)


async def on_refusal(request: Request, error: Exception) -> Response:
    """Exception handler of ``Refusal``."""
    return response_to(request.scope, cast("Refusal", error))


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Exception handler of what the framework refuses: unknown paths, methods, sizes."""
    found = cast("HTTPException", error)
    return response_to(request.scope, refusal_of_status(found.status_code, found.headers))


async def on_unavailable(request: Request, error: Exception) -> Response:
    """Exception handler of parts that are away: 503, and to try again is safe."""
    _log.warning("request %s: %s", request.scope["state"]["request_id"], type(error).__name__)
    refusal = Refusal(503, "away", TRY_AGAIN, {"Retry-After": "1"})
    return response_to(request.scope, refusal)


async def on_invalid_request(request: Request, error: Exception) -> Response:
    """Exception handler of requests that don't fit their schema: 400, naming the field only."""
    first = cast("RequestValidationError", error).errors()[0]
    refusal = Refusal(400, "bad-input", _message(first), field=_field(first))
    return response_to(request.scope, refusal)


def _field(problem: Mapping[str, Any]) -> str | None:
    """The field's name, with those of the objects around it; none where it isn't known."""
    if problem["type"] in _WORDS:
        return None
    return ".".join(part for part in problem["loc"][1:] if isinstance(part, str)) or None


def _message(problem: Mapping[str, Any]) -> str:
    """What is wrong, in words that never repeat what was sent.

    An unknown field's name is the caller's own text, so it isn't repeated either.
    """
    kind, location = problem["type"], problem["loc"]
    name = _field(problem)
    if kind in _WORDS:
        return _WORDS[kind]
    if not name:
        return "The request body must be a JSON object, sent as Content-Type: application/json"
    if kind == "missing":
        return f"{name} is missing"
    of_device_id = name == "deviceId" or (name == "deviceIds" and len(location) > 2)
    if of_device_id or kind == "value_error":
        return INVALID_DEVICE_ID if of_device_id else str(problem["ctx"]["error"])
    return f"{name}: {problem['msg']}" if kind in _TELLING else f"{name} is not valid"


# Kinds whose message tells the rule and nothing of the value.
_TELLING: Final = frozenset(
    {
        "bool_parsing",
        "greater_than_equal",
        "int_parsing",
        "less_than_equal",
        "literal_error",
        "string_too_long",
        "string_too_short",
        "string_type",
        "too_long",
        "too_short",
    }
)

_WORDS: Final[Mapping[str, str]] = {
    "json_invalid": "The request body is not valid JSON",
    "extra_forbidden": "The request has a field that is not known",
}
