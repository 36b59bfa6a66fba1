"""What callers are told when something is refused: one shape and one table of words a family.

A family is a group of paths that share an error format. Code raises ``Refusal`` (or the ledger
answers with a domain code); the family of the request's path turns it into bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson
from starlette.responses import Response
from starlette.types import Scope

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
