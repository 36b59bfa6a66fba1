"""The route class of all families: sizes, strict JSON, and refusals in the promised order."""

import functools
import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, get_args

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from api.errors import Refusal

RESPONSE_HEADERS: Final = "response_headers"
NAMES_MAX: Final = 100
"""Names that an object of a request's body may have."""
BODY_BYTES_MAX: Final = 65_536
HEADERS_MAX: Final = 100
"""The time that the framework takes to read headers grows with the square of their number."""


@dataclass(frozen=True, slots=True)
class Demand:
    """In ``Annotated``, what a route demands before its function runs, made by ``make``.

    ``make`` takes the request, and as further parameters what the framework is to read of it.
    Demands are met once the whole request is known to be valid (400 is promised to come before
    401), those of the request itself before those of the caller.
    """

    make: Callable[..., Awaitable[Any]]
    of_caller: bool = False


class GuardedRoute(APIRoute):
    """A route that meets its demands before its function runs, and reads JSON strictly.

    It refuses more headers than ``HEADERS_MAX``, and bodies above ``BODY_BYTES_MAX``, whether
    Content-Length tells their size or reading them.
    """

    def __init__(self, path: str, endpoint: Callable[..., Awaitable[Any]], **options: Any) -> None:
        self.guarded = Guarded.of(endpoint)
        super().__init__(path, self.guarded.function(), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's hook: the handler, given requests that parse strictly."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            _demand_size(request)
            return await handle(_StrictRequest(request.scope, _limited(request.receive)))

        return strictly


def add_header(request: Request, name: str, value: str) -> None:
    """Send a header with the response to this request, whatever the response will be."""
    added = request.scope["state"].setdefault(RESPONSE_HEADERS, {})
    added[name.lower().encode()] = value.encode()


@dataclass(frozen=True, slots=True)
class Guarded:
    """A route's function and what comes before it.

    ``parameters`` are what has to be read of a request, the function's own and its demands';
    ``demands`` are to be met in their order, each with the names of the parameters that it takes.
    """

    endpoint: Callable[..., Awaitable[Any]]
    parameters: tuple[inspect.Parameter, ...]
    demands: tuple[tuple[str, Demand, tuple[str, ...]], ...]

    @classmethod
    def of(cls, endpoint: Callable[..., Awaitable[Any]]) -> "Guarded":
        """What the function's signature says."""
        visible: list[inspect.Parameter] = []
        demands: list[tuple[str, Demand, tuple[str, ...]]] = []
        for parameter in inspect.signature(endpoint).parameters.values():
            demand = _demand_of(parameter)
            if demand is None:
                visible.append(parameter)
                continue
            _, *read = inspect.signature(demand.make).parameters.values()
            visible += read
            demands.append((parameter.name, demand, tuple(one.name for one in read)))
        demands.sort(key=lambda named: named[1].of_caller)
        return cls(endpoint, tuple(visible), tuple(demands))

    async def __call__(self, values: dict[str, Any]) -> Any:
        """Meet the demands and run the function, with the values of ``parameters``."""
        request = values["request"]
        for name, demand, read in self.demands:
            values[name] = await demand.make(request, **{one: values.pop(one) for one in read})
        return await self.endpoint(**values)

    def function(self) -> Callable[..., Awaitable[Any]]:
        """The function that the framework calls: demands are replaced by what they read."""

        @functools.wraps(self.endpoint)
        async def guarded(**values: Any) -> Any:
            return await self(values)

        keywords = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in self.parameters]
        vars(guarded)["__signature__"] = inspect.Signature(keywords)
        return guarded


def _demand_size(request: Request) -> None:
    headers = request.scope["headers"]
    if len(headers) > HEADERS_MAX:
        raise Refusal(400, "too-many-headers", "The request has too many headers")
    length = next((value for name, value in headers if name == b"content-length"), b"")
    if length.isdigit() and int(length[:20]) > BODY_BYTES_MAX:
        raise _too_large()


def _limited(receive: Receive) -> Receive:
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > BODY_BYTES_MAX:
            raise _too_large()
        return message

    return limited


def _too_large() -> HTTPException:
    return HTTPException(413, headers={"Connection": "close"})


def _demand_of(parameter: inspect.Parameter) -> Demand | None:
    found = [one for one in get_args(parameter.annotation) if isinstance(one, Demand)]
    return found[0] if found else None


class _StrictRequest(Request):
    """A request whose JSON must be RFC 8259 to the letter, with no name twice in an object."""

    async def json(self) -> Any:
        content = await self.body()
        try:
            return strict_json(content)
        except (ValueError, RecursionError):
            raise json.JSONDecodeError("not valid JSON", "", 0) from None


def strict_json(content: bytes) -> Any:
    """What JSON says that is RFC 8259 to the letter and has no name twice in an object.

    Raises:
        ValueError, RecursionError: it is not.
    """
    # It refuses NaN, lone surrogates, bad UTF-8 and deep nesting.
    found = orjson.loads(content)
    if _is_flat(content, found):
        return found
    return json.loads(content, object_pairs_hook=_unique)


def _is_flat(content: bytes, found: object) -> bool:
    """Whether it is an object of texts alone and names none twice: then each of its pairs has
    four quotes and nothing is escaped, and a name that came before would have left two more."""
    return (
        isinstance(found, dict)
        and len(found) <= NAMES_MAX
        and content.count(b'"') == 4 * len(found)
        and b"\\" not in content
        and all(isinstance(value, str) for value in found.values())
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Each name that no body has would cost an error, before it is known who calls.
    if len(pairs) > NAMES_MAX:
        raise ValueError("more names than any body has")
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a name comes twice")
    return unique
