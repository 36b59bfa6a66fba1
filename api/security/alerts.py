"""Alerts: pages of them, and one with its evidence."""

from dataclasses import astuple
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.access import note
from api.callers import UUID_PATTERN
from api.errors import Refusal
from api.peere import CustomerId
from api.reads import MinPosition, shown_value, wait_for
from api.route import GuardedRoute
from api.security.alert_shapes import Alert, told
from api.security.callers import Security, SecurityCaller
from api.security.entries import TrailEntry
from api.security.entries import told as told_entry
from api.security.fields import (
    BankId,
    Cursor,
    From,
    Limit,
    RuleName,
    To,
    Token,
    after_cursor,
    bank_of,
    check_range,
)
from api.security.problems import problems
from api.services import services_of
from device_ledger.wire import access
from projections.alerts import queries
from projections.alerts.apply import AlertRow
from projections.alerts.queries import AlertFilter
from projections.trail.apply import AUDIT
from projections.trail.queries import entries

router = APIRouter(prefix="/v1/security/alerts", tags=["security"], route_class=GuardedRoute)

Level = Literal["informational", "low", "medium", "high", "critical"]
AlertId = Annotated[
    str, Path(alias="id", pattern=UUID_PATTERN, json_schema_extra={"format": "uuid"})
]


class AskedAlerts(BaseModel):
    """Which alerts: those that agree with all that is given."""

    model_config = ConfigDict(extra="forbid")

    rule: RuleName | None = None
    level: Level | None = None
    bankId: BankId | None = None  # noqa: N815 - JSON's own name
    deviceToken: Token | None = None  # noqa: N815
    customerId: CustomerId | None = None  # noqa: N815
    acknowledged: bool | None = None
    start: From | None = Field(None, alias="from")
    end: To | None = Field(None, alias="to")
    limit: Limit = 50
    cursor: Cursor | None = None


class AlertPage(BaseModel):
    """A page of alerts, the newest first; ``next`` is null where nothing more is."""

    alerts: list[Alert]
    next: str | None = Field(examples=[None])


class AlertWithEvidence(Alert):
    """An alert, and the entries of the trail that are its evidence, in their order."""

    entries: list[TrailEntry]


def no_such_alert() -> Refusal:
    """404: there is none that the officer may see."""
    return Refusal(404, "no-such-alert", "There is no such alert")


@router.get("", summary="List alerts", response_model=AlertPage, responses=problems())
async def list_alerts(
    request: Request, officer: SecurityCaller, asked: Annotated[AskedAlerts, Query()]
) -> Response:
    """The newest first. An officer of one bank sees those whose evidence is all that bank's."""
    services = services_of(request)
    wanted = _filter(officer, asked)
    question = ["alerts", orjson.dumps([officer.bank_id, *astuple(wanted)]).decode()]
    after = after_cursor(services, asked.cursor, question)
    shown = await queries.page(
        services.models,
        wanted,
        after=(str(after[0]), str(after[1])) if after else None,
        # One more tells whether there is a next page.
        limit=asked.limit + 1,
    )
    page = shown.value[: asked.limit]
    more = len(shown.value) > len(page)
    await note(
        request,
        officer,
        access.ALERTS_READ,
        "found" if page else "not-found",
        subject=wanted.device_token,
        bankId=wanted.bank_id,
        customerId=wanted.customer_id,
        count=len(page),
    )
    content = {
        "alerts": [told(row) for row in page],
        "next": services.cursors.encode([page[-1].at, page[-1].id], question) if more else None,
    }
    return Response(orjson.dumps(content), media_type="application/json")


def _filter(officer: Security, asked: AskedAlerts) -> AlertFilter:
    check_range(asked.start, asked.end)
    return AlertFilter(
        rule=asked.rule,
        level=asked.level,
        bank_id=bank_of(officer, asked.bankId),
        device_token=asked.deviceToken,
        customer_id=asked.customerId,
        acknowledged=asked.acknowledged,
        since=asked.start,
        until=asked.end,
    )


@router.get(
    "/{id}",
    summary="Look at an alert with its evidence",
    response_model=AlertWithEvidence,
    responses=problems(("There is none that the officer may see.", no_such_alert())),
)
async def read_alert(
    request: Request, officer: SecurityCaller, alert_id: AlertId, position: MinPosition
) -> Response:
    """Its evidence is read from the trail: the newest 100 entries of it."""
    services = services_of(request)
    await wait_for(services, AUDIT.name, position)
    row = await find(request, officer, alert_id, access.ALERTS_READ)
    shown = await entries(services.models, orjson.loads(row.evidence), bank_id=officer.bank_id)
    content: dict[str, Any] = told(row)
    content["entries"] = [told_entry(one) for one in shown_value(request, shown).entries]
    return Response(orjson.dumps(content), media_type="application/json")


async def find(request: Request, officer: Security, alert_id: str, act: str) -> AlertRow:
    """An alert that the officer may see; that it was asked for is recorded.

    Raises:
        Refusal: 404, there is none.
    """
    alert_id = alert_id.lower()
    models = services_of(request).models
    row = (await queries.find(models, alert_id, bank_id=officer.bank_id)).value
    await note(
        request,
        officer,
        act,
        "found" if row else "not-found",
        subject=row.device_token if row else None,
        bankId=row.bank_id if row else officer.bank_id,
        customerId=row.customer_id if row else None,
        about=alert_id,
    )
    if row is None:
        raise no_such_alert()
    return row
