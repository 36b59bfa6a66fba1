"""Look devices up: which customer of which bank, by which phrase."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api.access import Act, note_all
from api.callers import Merchant, MerchantCaller
from api.errors import NOT_FOUND, Refusal
from api.peere import Body, DeviceId, Outcome, answer, errors
from api.reads import MinPosition, Opener, shown_value, wait_for
from api.route import GuardedRoute
from api.services import Services, services_of
from device_ledger.wire.access import DEVICE_LOOKED_UP
from projections.lookup import queries
from projections.lookup.apply import MODEL, Lookup

router = APIRouter(prefix="/v1/customer/device", tags=["merchant"], route_class=GuardedRoute)


class OneDevice(Body):
    """A device to look up."""

    deviceId: DeviceId  # noqa: N815 - the family's own name


class ManyDevices(Body):
    """Up to 100 devices to look up."""

    deviceIds: Annotated[list[DeviceId], Field(min_length=1, max_length=100)]  # noqa: N815


class FoundDevice(BaseModel):
    """Whose device it is, and nothing more."""

    deviceId: str = Field(examples=["d3v1c3-00000001"])  # noqa: N815
    phrase: str = Field(examples=["blue heron at dawn"])
    customerId: str = Field(examples=["customer-4711"])  # noqa: N815
    bankId: str = Field(examples=["bank-1"])  # noqa: N815


class FoundDevices(BaseModel):
    """Those that are linked and those that are not, each in the order asked."""

    found: list[FoundDevice]
    notFound: list[str]  # noqa: N815


class LookupOutcome(Outcome):
    """The answer of a lookup."""

    data: FoundDevice


class BatchOutcome(Outcome):
    """The answer of a lookup of many."""

    data: FoundDevices


@router.post(
    "/lookup",
    summary="Look a device up",
    response_model=LookupOutcome,
    responses=errors(400, 401, 403, 404, 413, 429, 503),
)
async def lookup(
    request: Request, merchant: MerchantCaller, body: OneDevice, position: MinPosition
) -> Response:
    """The customer that a device is linked to."""
    services = services_of(request)
    await wait_for(services, MODEL.name, position)
    token = services.tokens.device(body.deviceId)
    row = shown_value(request, await queries.find(services.models, token))
    found = await _opened(services, {body.deviceId: row} if row else {})
    _count_unknown(services, merchant, 0 if found else 1)
    await note_all(request, merchant, DEVICE_LOOKED_UP, [_act(token, row if found else None)])
    if not found:
        raise Refusal(404, "not-linked", NOT_FOUND)
    return answer("Device lookup successful", found[body.deviceId])


@router.post(
    "/lookup/batch",
    summary="Look up to 100 devices up",
    response_model=BatchOutcome,
    responses=errors(400, 401, 403, 413, 429, 503),
)
async def lookup_batch(
    request: Request, merchant: MerchantCaller, body: ManyDevices, position: MinPosition
) -> Response:
    """Each device counts as one lookup. One that is asked for twice is answered twice."""
    services = services_of(request)
    _count_the_others(services, merchant, len(body.deviceIds) - 1)
    await wait_for(services, MODEL.name, position)
    tokens = {device_id: services.tokens.device(device_id) for device_id in body.deviceIds}
    rows = shown_value(request, await queries.find_many(services.models, list(tokens.values())))
    linked = {one: rows[token] for one, token in tokens.items() if token in rows}
    found = await _opened(services, linked)
    not_found = [device_id for device_id in body.deviceIds if device_id not in found]
    _count_unknown(services, merchant, len(not_found))
    acts = [_act(token, linked[one] if one in found else None) for one, token in tokens.items()]
    await note_all(request, merchant, DEVICE_LOOKED_UP, acts)
    return answer(
        "Device lookup successful",
        {
            "found": [found[device_id] for device_id in body.deviceIds if device_id in found],
            "notFound": not_found,
        },
    )


def _act(device_token: str, row: Lookup | None) -> Act:
    """What the access record of a lookup tells."""
    if row is None:
        return "not-found", device_token, {}
    holder = {"bankId": row.bank_id, "customerId": row.customer_id, "userId": row.user_id}
    return "found", device_token, holder


def _count_the_others(services: Services, merchant: Merchant, count: int) -> None:
    if count:
        services.quotas.lookups.take(merchant.key, count)


def _count_unknown(services: Services, merchant: Merchant, count: int) -> None:
    # Others may have used the quota up since this lookup began: then it tells nothing either.
    services.quotas.unknown.require(merchant.key)
    if count:
        services.quotas.unknown.owe(merchant.key, count)


async def _opened(services: Services, rows: dict[str, Lookup]) -> dict[str, dict[str, str]]:
    """What a merchant sees of each device; those whose customer's key is gone are left out."""
    opener = await Opener.of(services, rows.values())
    return {
        device_id: {
            "deviceId": device_id,
            "phrase": opener.open(row, "phrase", row.sealed_phrase),
            "customerId": row.customer_id,
            "bankId": row.bank_id,
        }
        for device_id, row in rows.items()
        if opener.can_open(row)
    }
