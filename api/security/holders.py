"""Who held a device at a moment of the past."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api.access import note
from api.reads import MinPosition, shown_value, wait_for
from api.route import GuardedRoute
from api.security.audit_search import Revealing
from api.security.callers import Security, SecurityCaller
from api.security.entries import Revealed
from api.security.fields import DeviceRef, PastMoment
from api.security.problems import problems
from api.security.reveal import reveal
from api.services import services_of
from device_ledger.wire import access
from device_ledger.wire.trail import Entry
from projections.trail.apply import AUDIT
from projections.trail.holder import holder

router = APIRouter(prefix="/v1/security/devices", tags=["security"], route_class=GuardedRoute)


class AskedHolder(DeviceRef, Revealing):
    """A device and a moment."""

    at: PastMoment


class Holder(BaseModel):
    """Whom the device was linked to. ``ref`` is the entry of the link in the trail."""

    bankId: str = Field(examples=["bank-1"])  # noqa: N815 - JSON's own name
    customerId: str | None = Field(None, examples=["customer-4711"])  # noqa: N815
    userId: str = Field(examples=["7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"])  # noqa: N815
    registrationId: str = Field(examples=["0d5b7a42-9c1e-4f7a-8e55-1f2e6f5c7a42"])  # noqa: N815
    linkedAt: str = Field(examples=["2026-01-31T09:30:00.000Z"])  # noqa: N815
    ref: str = Field(examples=["4711"])
    revealed: Revealed | None = None


class ToldHolder(BaseModel):
    """Who held the device; ``holder`` is null where nobody did.

    Where another bank than the officer's held it, ``notYours`` is all there is.
    """

    deviceToken: str | None = Field(None)  # noqa: N815
    at: str | None = Field(None, examples=["2026-01-31T09:30:00.000Z"])
    holder: Holder | None = None
    notYours: bool | None = Field(None)  # noqa: N815


@router.post(
    "/as-of",
    summary="Who held a device at a moment",
    response_model=ToldHolder,
    responses=problems(413),
)
async def device_as_of(
    request: Request, officer: SecurityCaller, body: AskedHolder, position: MinPosition
) -> Response:
    """From history, at any past moment up to the position shown.

    What was recorded in that very millisecond counts.
    """
    services = services_of(request)
    body.check(officer)
    token = body.token(services.tokens)
    await wait_for(services, AUDIT.name, position)
    link = shown_value(request, await holder(services.models, token, body.at))
    if link is not None and officer.bank_id not in {None, link.bank_id}:
        await note(
            request,
            officer,
            access.HOLDER_ASKED,
            "refused",
            subject=token,
            bankId=officer.bank_id,
            code="not-yours",
        )
        return Response(orjson.dumps({"notYours": True}), media_type="application/json")
    content: dict[str, Any] = {"deviceToken": token, "at": body.at, "holder": None}
    if link is not None:
        content["holder"] = await _told(request, officer, body, link)
    await note(
        request,
        officer,
        access.HOLDER_ASKED,
        "found" if link else "not-found",
        subject=token,
        bankId=link.bank_id if link else officer.bank_id,
        customerId=link.customer_id if link else None,
        userId=link.user_id if link else None,
    )
    return Response(orjson.dumps(content), media_type="application/json")


async def _told(
    request: Request, officer: Security, body: AskedHolder, link: Entry
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "bankId": link.bank_id,
        "customerId": link.customer_id,
        "userId": link.user_id,
        "registrationId": link.registration_id,
        "linkedAt": link.at,
        "ref": link.ref,
    }
    if body.reveal:
        [told["revealed"]] = await reveal(services_of(request), [link])
        await note(
            request,
            officer,
            access.VALUES_REVEALED,
            "done",
            subject=link.device_token,
            reason=body.reason,
            bankId=link.bank_id,
            customerId=link.customer_id,
            userId=link.user_id,
            count=1,
        )
    return {name: value for name, value in told.items() if value is not None}
