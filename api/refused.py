"""The exception handlers: each refusal becomes an access record, then an answer."""

import logging
from collections.abc import Mapping
from typing import Any, Final, cast

from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.access import note_refused
from api.errors import INVALID_DEVICE_ID, TRY_AGAIN, Refusal, refusal_of_status, response_to
from api.route import GuardedRoute
from api.spool import SpoolError

_log = logging.getLogger(__name__)

NOTED: Final = frozenset((400, 401, 403, 413, 422, 429))
"""Statuses of refusals that access records tell; 404 and 409 are events, or records of lookups."""


async def refused(request: Request, refusal: Refusal) -> Response:
    """The response to a request that is refused, once the refusal is on record where it is due."""
    response = response_to(request.scope, refusal)
    if refusal.status in NOTED and isinstance(request.scope.get("route"), GuardedRoute):
        try:
            await note_refused(request, refusal.code, response.status_code)
        except SpoolError as error:
            return await on_unavailable(request, error)
    return response


async def on_refusal(request: Request, error: Exception) -> Response:
    """Exception handler of ``Refusal``."""
    return await refused(request, cast("Refusal", error))


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Exception handler of what the framework refuses: unknown paths, methods, sizes."""
    found = cast("HTTPException", error)
    headers = {"Allow": _allowed(request)} if found.status_code == 405 else found.headers
    return await refused(request, refusal_of_status(found.status_code, headers))


async def on_unavailable(request: Request, error: Exception) -> Response:
    """Exception handler of parts that are away: 503, and to try again is safe."""
    _log.warning("request %s: %s", request.scope["state"]["request_id"], type(error).__name__)
    refusal = Refusal(503, "away", TRY_AGAIN, {"Retry-After": "1"})
    return response_to(request.scope, refusal)


async def on_invalid_request(request: Request, error: Exception) -> Response:
    """Exception handler of requests that don't fit their schema: 400, naming the field only."""
    first = cast("RequestValidationError", error).errors()[0]
    refusal = Refusal(400, "bad-input", _message(first), field=_field(first))
    return await refused(request, refusal)


def _allowed(request: Request) -> str:
    """All methods of the address: the framework names those of the first route alone."""
    path = request.scope["path"]
    contexts = iter_route_contexts(request.app.routes)
    fitting = [one for one in contexts if _matches(one.original_route, path)]
    return ", ".join(sorted({method for one in fitting for method in one.methods or ()}))


def _matches(route: object, path: str) -> bool:
    return isinstance(route, Route) and route.path_regex.match(path) is not None


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
    if not name and kind == "value_error":
        return str(problem["ctx"]["error"])
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
