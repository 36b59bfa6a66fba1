"""The short way to the routes that are called most.

For a well-formed request this does what the framework does for a :class:`GuardedRoute`, with less:
its route is found by its path alone, and its values are read as the function's signature says.
Whatever is out of the ordinary (another media type, a body or a query that isn't valid, a header or
a name of a query twice) goes the long way as it came, so that there is one place that tells what is
wrong.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from fastapi.params import Header, Query
from pydantic import BaseModel, TypeAdapter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.route import BODY_BYTES_MAX, HEADERS_MAX, GuardedRoute, strict_json

_JSON: Final = b"application/json"

Handler = Callable[[Request, Exception], Awaitable[Response]]


class _OutOfTheOrdinaryError(Exception):
    """The request goes the long way."""


@dataclass(frozen=True, slots=True)
class _Lane:
    """How to read the values of one route."""

    route: GuardedRoute
    body: tuple[str, type[BaseModel]] | None
    query: tuple[str, type[BaseModel]] | None
    headers: tuple[tuple[str, bytes, Any, TypeAdapter[Any]], ...]

    def values(self, scope: Scope, content: bytes) -> dict[str, Any]:
        """The values of the route's parameters, without that of the request.

        Raises:
            _OutOfTheOrdinaryError: one can't be read here.
        """
        found: dict[str, Any] = {}
        try:
            if self.body is not None:
                name, model = self.body
                found[name] = model.model_validate(strict_json(content))
            if self.query is not None:
                name, model = self.query
                found[name] = model.model_validate(_asked(scope))
            for name, header, default, adapter in self.headers:
                given = _header(scope, header)
                found[name] = default if given is None else adapter.validate_python(given)
        except (ValueError, RecursionError):
            raise _OutOfTheOrdinaryError from None
        return found


class ShortWay:
    """Serves requests of these routes; all others go on to the app."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Iterable[GuardedRoute],
        handlers: Mapping[type[Exception], Handler],
    ) -> None:
        """``handlers`` answer what a route raises, as the framework's exception handlers."""
        self._app = app
        self._handlers = handlers
        lanes = [lane for route in routes if (lane := _lane_of(route)) is not None]
        self._lanes = {
            (method, lane.route.path): lane for lane in lanes for method in lane.route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        lane = (
            self._lanes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        )
        if lane is None or not _is_ordinary(scope, lane):
            await self._app(scope, receive, send)
            return
        content, received = await _body(receive) if lane.body else (b"", [])
        replayed = _replay(received, receive)
        if received and received[-1]["type"] != "http.request":
            # Half a body, of a caller who has gone.
            await self._app(scope, replayed, send)
            return
        try:
            values = lane.values(scope, content)
        except _OutOfTheOrdinaryError:
            await self._app(scope, replayed, send)
            return
        scope["route"] = lane.route
        request = values["request"] = Request(scope, replayed, send)
        try:
            response = await lane.route.guarded(values)
        except Exception as error:
            handler = self._handler_of(error)
            if handler is None:
                raise
            response = await handler(request, error)
        await response(scope, replayed, send)

    def _handler_of(self, error: Exception) -> Handler | None:
        return next(
            (self._handlers[kind] for kind in type(error).__mro__ if kind in self._handlers), None
        )


def _lane_of(route: GuardedRoute) -> _Lane | None:
    """How to read the route's values; nothing where this way can't read all of them."""
    body: tuple[str, type[BaseModel]] | None = None
    query: tuple[str, type[BaseModel]] | None = None
    headers: list[tuple[str, bytes, Any, TypeAdapter[Any]]] = []
    for parameter in route.guarded.parameters:
        if parameter.annotation is Request:
            continue
        header = next((one for one in _metadata(parameter) if isinstance(one, Header)), None)
        if header is not None and header.alias and parameter.default is not parameter.empty:
            name = header.alias.lower().encode()
            adapter = TypeAdapter(parameter.annotation)
            headers.append((parameter.name, name, parameter.default, adapter))
        elif _is_model(parameter.annotation):
            body = (parameter.name, parameter.annotation)
        elif any(isinstance(one, Query) for one in _metadata(parameter)) and _is_model(
            model := get_args(parameter.annotation)[0]
        ):
            query = (parameter.name, model)
        else:
            return None
    return None if "{" in route.path else _Lane(route, body, query, tuple(headers))


def _is_model(annotation: Any) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, BaseModel)


def _metadata(parameter: inspect.Parameter) -> Sequence[Any]:
    return get_args(parameter.annotation)[1:]


def _is_ordinary(scope: Scope, lane: _Lane) -> bool:
    """Whether the request's size and media type are what this way reads."""
    if len(scope["headers"]) > HEADERS_MAX:
        return False
    if lane.body is None:
        return True
    media_type, length = None, b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            # The framework believes the first of two: then it is left to that.
            media_type = value if media_type is None else b""
        elif name == b"content-length":
            length = value
    return media_type == _JSON and len(length) <= 5 and length.isdigit() and (
        int(length) <= BODY_BYTES_MAX
    )  # fmt: skip


def _asked(scope: Scope) -> dict[str, str]:
    """The query's values by their names."""
    pairs = QueryParams(scope["query_string"]).multi_items()
    asked = dict(pairs)
    if len(asked) != len(pairs):
        raise _OutOfTheOrdinaryError
    return asked


def _header(scope: Scope, wanted: bytes) -> str | None:
    found = None
    for name, value in scope["headers"]:
        if name == wanted:
            if found is not None:
                raise _OutOfTheOrdinaryError
            found = value.decode("latin-1")
    return found


async def _body(receive: Receive) -> tuple[bytes, list[Message]]:
    """The body, and the messages that it came in."""
    message = await receive()
    received = [message]
    while message["type"] == "http.request" and message.get("more_body", False):
        message = await receive()
        received.append(message)
    return b"".join(one.get("body", b"") for one in received), received


def _replay(received: list[Message], receive: Receive) -> Receive:
    """Receives what was received before, and then goes on."""
    waiting = iter(received)

    async def replayed() -> Message:
        message = next(waiting, None)
        return await receive() if message is None else message

    return replayed
