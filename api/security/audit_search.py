"""Search the audit trail: who did what, and who looked at what."""

from dataclasses import astuple
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, model_validator

from api.access import note
from api.callers import forbidden
from api.errors import Refusal
from api.peere import Body, CustomerId
from api.reads import MinPosition, shown_value, wait_for
from api.route import GuardedRoute
from api.security.callers import Lead, Security, SecurityCaller
from api.security.entries import TrailEntry, told
from api.security.fields import (
    Actor,
    BankId,
    Cursor,
    DeviceRef,
    EntryType,
    From,
    Limit,
    MerchantId,
    Outcome,
    Reason,
    To,
    UserId,
    after_cursor,
    bank_of,
    check_range,
)
from api.security.problems import problems
from api.security.reveal import reveal
from api.services import Services, services_of
from device_ledger.wire import access
from device_ledger.wire.trail import Entry
from projections.trail.apply import AUDIT
from projections.trail.queries import Place, TrailFilter, place_of, search

router = APIRouter(prefix="/v1/security/audit", tags=["security"], route_class=GuardedRoute)

TYPES_MAX: Final = 50


class Revealing(Body):
    """Whether tokens are to be told with what they stand for."""

    reveal: bool = Field(
        False, description="Tell what the tokens stand for; a lead's alone, and kept in the trail."
    )
    reason: Reason | None = None

    @model_validator(mode="after")
    def _has_its_reason(self) -> "Revealing":
        if self.reveal and self.reason is None:
            raise ValueError("reason is missing: reveal needs one")
        return self

    def check(self, officer: Security) -> None:
        """Refuse to reveal to whoever is no lead.

        Raises:
            Refusal: 403.
        """
        if self.reveal and not isinstance(officer, Lead):
            raise forbidden("reveal needs the scope security.manage")


class AskedTrail(Revealing):
    """Which entries: those that agree with all that is given."""

    device: DeviceRef | None = None
    bankId: BankId | None = None  # noqa: N815 - JSON's own name
    customerId: CustomerId | None = None  # noqa: N815
    userId: UserId | None = None  # noqa: N815
    actor: Actor | None = None
    merchantId: MerchantId | None = None  # noqa: N815
    types: Annotated[list[EntryType], Field(min_length=1, max_length=TYPES_MAX)] | None = None
    outcome: Outcome | None = None
    start: From | None = Field(None, alias="from")
    end: To | None = Field(None, alias="to")
    order: Literal["newest", "oldest"] = "newest"
    limit: Limit = 50
    cursor: Cursor | None = None


class TrailPage(BaseModel):
    """A page of the trail; ``next`` is null where nothing more is."""

    entries: list[TrailEntry]
    next: str | None = Field(examples=[None])


@router.post(
    "/search",
    summary="Search the audit trail",
    response_model=TrailPage,
    responses=problems(413),
)
async def search_trail(
    request: Request, officer: SecurityCaller, body: AskedTrail, position: MinPosition
) -> Response:
    """Events, refusals, lookups, lists and security queries, at the same cost at any depth.

    A timeline is one call: of a device by `device`, of a customer by `customerId`. A customer or
    user is one of a bank: without a bank in the token, `bankId` is needed with it.
    """
    services = services_of(request)
    body.check(officer)
    wanted = _filter(services, officer, body)
    question = _question(officer, wanted, body.order)
    after = _place(services, body.cursor, question)
    await wait_for(services, AUDIT.name, position)
    shown = await search(
        services.models,
        wanted,
        newest_first=body.order == "newest",
        after=after,
        # One more tells whether there is a next page.
        limit=body.limit + 1,
    )
    found = shown_value(request, shown).entries
    page = found[: body.limit]
    content = {
        "entries": await _told(request, officer, body, wanted, page),
        "next": services.cursors.encode(place_of(page[-1]), question)
        if len(found) > len(page)
        else None,
    }
    return Response(orjson.dumps(content), media_type="application/json")


def _filter(services: Services, officer: Security, body: AskedTrail) -> TrailFilter:
    check_range(body.start, body.end)
    bank_id = bank_of(officer, body.bankId)
    for name in ("customerId", "userId"):
        if getattr(body, name) is not None and bank_id is None:
            raise Refusal(400, "bad-input", f"{name} needs bankId", field=name)
    return TrailFilter(
        device_token=body.device.token(services.tokens) if body.device else None,
        bank_id=bank_id,
        customer_id=body.customerId,
        user_id=body.userId,
        merchant_id=body.merchantId,
        actor=body.actor,
        types=tuple(sorted(set(body.types or ()))),
        outcome=body.outcome,
        since=body.start,
        until=body.end,
    )


def _question(officer: Security, wanted: TrailFilter, order: str) -> list[str]:
    """What a cursor is bound to: the officer's bank, the filter and the order."""
    return ["trail", orjson.dumps([officer.bank_id, *astuple(wanted), order]).decode()]


def _place(services: Services, cursor: str | None, question: list[str]) -> Place | None:
    place = after_cursor(services, cursor, question)
    if place is None:
        return None
    at, seq, ref = place
    return str(at), int(seq), str(ref)


async def _told(
    request: Request,
    officer: Security,
    body: AskedTrail,
    wanted: TrailFilter,
    page: list[Entry],
) -> list[dict[str, Any]]:
    """The page as JSON, its telling recorded before."""
    services = services_of(request)
    entries = [told(entry) for entry in page]
    shown = {
        "bankId": wanted.bank_id,
        "customerId": wanted.customer_id,
        "userId": wanted.user_id,
        "count": len(page),
    }
    if body.reveal:
        for entry, revealed in zip(entries, await reveal(services, page), strict=True):
            entry["revealed"] = revealed
        await note(
            request,
            officer,
            access.VALUES_REVEALED,
            "done",
            subject=wanted.device_token,
            reason=body.reason,
            **shown,
        )
    await note(
        request,
        officer,
        access.TRAIL_SEARCHED,
        "found" if page else "not-found",
        subject=wanted.device_token,
        **shown,
    )
    return entries
