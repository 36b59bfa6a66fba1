"""A security lead takes note of an alert."""

from typing import Any

import orjson
import uuid_utils
from fastapi import APIRouter, Request, Response

from api.peere import Body
from api.route import GuardedRoute
from api.security.alert_shapes import Alert, told
from api.security.alerts import AlertId, find, no_such_alert
from api.security.callers import Lead, SecurityLead
from api.security.fields import Note
from api.security.problems import problems
from api.services import Services, services_of
from device_ledger.ledger.ledger import utc_now
from device_ledger.wire import access
from device_ledger.wire.alerts import ALERT_ACKNOWLEDGED, AlertRecord, encode
from projections.alerts.apply import MODEL, AlertRow

router = APIRouter(prefix="/v1/security/alerts", tags=["security"], route_class=GuardedRoute)

SHOW_SECONDS = 2.0
"""How long an answer waits until the alert is shown as acknowledged."""


class AskedAcknowledgement(Body):
    """What a lead says to it."""

    note: Note | None = None


@router.post(
    "/{id}/acknowledge",
    summary="Acknowledge an alert",
    response_model=Alert,
    responses=problems(413, ("There is none that the lead may see.", no_such_alert())),
)
async def acknowledge(
    request: Request,
    lead: SecurityLead,
    alert_id: AlertId,
    body: AskedAcknowledgement | None = None,
) -> Response:
    """Durable when it is answered. Again changes nothing: the first one stays."""
    services = services_of(request)
    async with services.security.acknowledging:
        row = await find(request, lead, alert_id, access.ALERT_ACKNOWLEDGED)
        if row.acknowledged_at is None:
            row = await _acknowledged(services, lead, row, body.note if body else None)
    return Response(orjson.dumps(told(row)), media_type="application/json")


async def _acknowledged(
    services: Services, lead: Lead, row: AlertRow, note: str | None
) -> AlertRow:
    at = utc_now()
    data: dict[str, Any] = {"alert": row.id, "actor": lead.subject, "at": at}
    record = AlertRecord(
        id=str(uuid_utils.uuid7()),
        source=services.ledger.identity.source,
        type=ALERT_ACKNOWLEDGED,
        time=at,
        data=data | ({} if note is None else {"note": note}),
    )
    offset = await services.security.alerts.write(encode(record))
    # So that whoever asks next is not told that nobody did.
    await services.models.wait_for(MODEL.name, {0: offset + 1}, SHOW_SECONDS)
    return row._replace(acknowledged_at=at, acknowledged_by=lead.subject, note=note)
