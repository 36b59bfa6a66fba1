"""The route class of all families: strict JSON, and refusals in the order that was promised."""

import functools
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.errors import Refusal

RESPONSE_HEADERS: Final = "response_headers"


class Deferred:
    """A refusal of the caller (401, 403, 429), told once the request is known to be valid.

    The framework runs dependencies before it validates the body; 400 is promised to come first.
    It stands in the caller's place, and has none of a caller's attributes: a route that wasn't
    made by ``GuardedRoute`` fails instead of serving nobody.
    """

    __slots__ = ("refusal",)

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal


class GuardedRoute(APIRoute):
    """A route that raises what was deferred before its function runs, and reads JSON strictly."""

    def __init__(self, path: str, endpoint: Callable[..., Awaitable[Any]], **options: Any) -> None:
        super().__init__(path, _guarded(endpoint), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's hook: the handler, given requests that parse strictly."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly


def add_header(request: Request, name: str, value: str) -> None:
    """Send a header with the response to this request, whatever the response will be."""
    request.scope["state"].setdefault(RESPONSE_HEADERS, {})[name] = value


def _guarded(endpoint: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(endpoint)
    async def guarded(**values: Any) -> Any:
        for value in values.values():
            if isinstance(value, Deferred):
                raise value.refusal
        return await endpoint(**values)

    return guarded


class _StrictRequest(Request):
    """A request whose JSON must be RFC 8259 to the letter, with no name twice in an object."""

    async def json(self) -> Any:
        content = await self.body()
        try:
            # The first refuses NaN, lone surrogates, bad UTF-8 and deep nesting, the second
            # tells names that come twice.
            orjson.loads(content)
            return json.loads(content, object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            raise json.JSONDecodeError("not valid JSON", "", 0) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a name comes twice")
    return unique
