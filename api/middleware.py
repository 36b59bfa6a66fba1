"""What happens around every request: its ID, its log line and metrics, and CORS."""

import logging
import re
import time
from collections.abc import Collection
from typing import Final

import uuid_utils
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import USER_FAMILIES, refusal_of_status, response_to
from api.metrics import Metrics
from api.route import RESPONSE_HEADERS
from device_ledger.logs import where

_access = logging.getLogger("api.access")
_log = logging.getLogger(__name__)

UNMATCHED: Final = "(no route)"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NOT_STORED: Final = (b"cache-control", b"no-store")
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9-]{1,64}")
_EXPOSED: Final = (
    "Ledger-Position",
    "Ledger-Age",
    "X-Request-ID",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
)


class Around:
    """Gives each request an ID, adds the headers that its handling asked for, logs and counts it.

    An exception that nothing handled becomes a 500 without detail; its traceback is logged
    without the values that it carries.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(scope)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += (
                    (b"x-request-id", state["request_id"].encode()),
                    _NOT_STORED,
                    *state.get(RESPONSE_HEADERS, {}).items(),
                )
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 - the last one to catch it
            _log.error("request %s failed: %s", state["request_id"], where(error))
            if status == 0:
                await response_to(scope, refusal_of_status(500))(scope, receive, send_with_headers)
        finally:
            self._note(scope, status, time.perf_counter() - started_at)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", UNMATCHED)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        refusal = scope["state"].get("refusal")
        self._metrics.observe(method, route, status, refusal, seconds)
        _access.info(
            "%s %s %d",
            method,
            route,
            status,
            extra={
                "method": method,
                "route": route,
                "status": status,
                "refusal": refusal,
                "milliseconds": round(seconds * 1000, 2),
                "request_id": scope["state"]["request_id"],
            },
        )


class UserFamiliesCors:
    """Lets browsers of some origins call the families that users call, and no others."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._cors = CORSMiddleware(
            app,
            allow_origins=sorted(origins),
            allow_methods=("GET", "DELETE"),
            allow_headers=("Authorization", "Ledger-Min-Position", "X-Request-ID"),
            expose_headers=_EXPOSED,
        )
        self._prefixes = tuple(family.prefix for family in USER_FAMILIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        for_users = scope["type"] == "http" and scope["path"].startswith(self._prefixes)
        await (self._cors if for_users else self._app)(scope, receive, send)


def _request_id(scope: Scope) -> str:
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return str(given[0].decode())
    return str(uuid_utils.uuid4())
