"""Alerts as they are raised: server-sent events (https://html.spec.whatwg.org, section 9.2).

An event's id is sealed: how many alerts others have is told to nobody, and neither does the time
of a heartbeat tell that one came.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.types import Receive, Scope, Send

from api.access import note
from api.route import GuardedRoute
from api.security.alert_shapes import told
from api.security.alerts import Level
from api.security.callers import Security, SecurityCaller
from api.security.fields import BankId, RuleName, after_cursor, bank_of
from api.security.problems import problems
from api.services import Services, services_of
from api.spool import SpoolError
from device_ledger.wire import access
from projections.alerts import queries
from projections.alerts.apply import MODEL
from projections.alerts.queries import AlertFilter
from projections.readers import NotReadyError, position_of

router = APIRouter(prefix="/v1/security/alerts", tags=["security"], route_class=GuardedRoute)

HEARTBEAT_SECONDS: Final = 15.0
BATCH: Final = 100

_EXAMPLE: Final = (
    "id: q1Zx…\nevent: opened\ndata: {}\n\n"
    'id: Yk0w…\nevent: alert\ndata: {"id":"8d1f0c7e-5b1e-5f0e-9d55-1f2e6f5c7a42",…}\n\n'
    ": still here\n\n"
)


class AskedStream(BaseModel):
    """Which alerts: those that agree with all that is given."""

    model_config = ConfigDict(extra="forbid")

    rule: RuleName | None = None
    level: Level | None = None
    bankId: BankId | None = None  # noqa: N815 - JSON's own name


LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=4096,
        description="The id of the last event that came: goes on behind it.",
    ),
]


class EventStream(StreamingResponse):
    """A response of events; at its end it lets go of what it holds."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncIterator[bytes], held: ExitStack) -> None:
        super().__init__(content, headers={"X-Accel-Buffering": "no"})
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._held:
            await super().__call__(scope, receive, send)


@router.get(
    "/stream",
    status_code=200,
    summary="Follow alerts as they are raised",
    response_class=EventStream,
    responses=problems()
    | {
        200: {
            "description": "Events `alert`, their data an alert as the list tells it; first one"
            " `opened`, whose id a client goes on from that saw no alert.",
            "content": {EventStream.media_type: {"example": _EXAMPLE}},
        }
    },
)
async def follow_alerts(
    request: Request,
    officer: SecurityCaller,
    asked: Annotated[AskedStream, Query()],
    last_event_id: LastEventId = None,
) -> EventStream:
    """From now on, or behind `Last-Event-ID`. It ends with the token, and when the API stops."""
    services = services_of(request)
    wanted = AlertFilter(rule=asked.rule, level=asked.level, bank_id=bank_of(officer, asked.bankId))
    after = after_cursor(services, last_event_id, _question(officer), "Last-Event-ID")
    if after is None:
        arrived = (await position_of(services.models, MODEL.name)).get(0, 0)
    else:
        arrived = int(after[0])
    held = ExitStack()
    held.enter_context(services.security.streams.one(officer.key))
    try:
        await note(request, officer, access.ALERTS_READ, "done", bankId=wanted.bank_id)
    except BaseException:
        held.close()
        raise
    return EventStream(_events(request, officer, wanted, arrived), held)


async def _events(
    request: Request, officer: Security, wanted: AlertFilter, arrived: int
) -> AsyncIterator[bytes]:
    services, ending = services_of(request), request.app.state.ending
    yield _event(services, officer, arrived, "opened", {})
    beat_at = time.monotonic() + HEARTBEAT_SECONDS
    while not ending.is_set() and time.time() < officer.expires_at:
        try:
            shown = await queries.since(services.models, arrived, wanted, limit=BATCH)
            if shown.value:
                await note(
                    request,
                    officer,
                    access.ALERTS_READ,
                    "found",
                    bankId=wanted.bank_id,
                    count=len(shown.value),
                )
        except (NotReadyError, SpoolError):
            # Whoever follows comes again, from the last event on.
            return
        for row in shown.value:
            arrived = row.arrived
            yield _event(services, officer, arrived, "alert", told(row))
        if len(shown.value) < BATCH:
            arrived = max(arrived, shown.position.get(0, 0))
            left = min(beat_at - time.monotonic(), officer.expires_at - time.time())
            await _change(services, ending, arrived, max(left, 0))
        if time.monotonic() >= beat_at:
            yield b": still here\n\n"
            beat_at = time.monotonic() + HEARTBEAT_SECONDS


async def _change(services: Services, ending: asyncio.Event, arrived: int, within: float) -> None:
    """Return when something came to the alerts, at the end of the process, or after a time."""
    waiting = {
        asyncio.ensure_future(services.models.wait_for(MODEL.name, {0: arrived + 1}, within)),
        asyncio.ensure_future(ending.wait()),
    }
    try:
        await asyncio.wait(waiting, return_when="FIRST_COMPLETED")
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _event(
    services: Services, officer: Security, arrived: int, name: str, data: dict[str, Any]
) -> bytes:
    cursor = services.cursors.encode([arrived], _question(officer))
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (cursor.encode(), name.encode(), orjson.dumps(data))


def _question(officer: Security) -> list[str]:
    return ["alert-stream", orjson.dumps(officer.bank_id).decode()]
