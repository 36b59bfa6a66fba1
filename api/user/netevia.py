"""The Netevia family: a user's devices as a settings page shows them."""

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Request, Response
from pydantic import AfterValidator, BaseModel, Field

from api.access import note_list
from api.callers import UserReader, UserRemover
from api.commands import context_of, submit_or_refuse
from api.documented import LOGIN_TOO_OLD, errors
from api.errors import NETEVIA
from api.reads import MinPosition, Opener, shown_value, wait_for
from api.route import GuardedRoute
from api.services import services_of
from device_ledger.domain import values
from device_ledger.domain.customer.deactivate import DeactivateDevice
from projections.devices import queries
from projections.devices.apply import MODEL, Device

router = APIRouter(prefix="/settings", tags=["user (Netevia)"], route_class=GuardedRoute)


class Message(BaseModel):
    """What the family answers where it gives no devices."""

    message: str


class UserDevice(BaseModel):
    """A device of the user."""

    deviceId: str = Field(examples=["d3v1c3-00000001"])  # noqa: N815 - the family's own name
    deviceName: str = Field(examples=["iPhone 13"])  # noqa: N815
    deviceType: Literal["Mobile", "Tablet", "Desktop", "Other", "Unknown"]  # noqa: N815
    ipAddress: str | None = Field(examples=["192.0.2.17"])  # noqa: N815
    lastLogin: str = Field(examples=["2026-01-31T09:30:00.000Z"])  # noqa: N815


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    words = {} if 404 not in statuses else {401: LOGIN_TOO_OLD}
    return errors(NETEVIA, Message, *statuses, words=words)


@router.get(
    "/devices",
    summary="List the user's devices",
    response_model=list[UserDevice],
    responses=_errors(400, 401, 403, 429, 503),
)
async def list_devices(request: Request, user: UserReader, position: MinPosition) -> Response:
    """The active ones, the newest login first. A device never seen shows its registration time."""
    services = services_of(request)
    await wait_for(services, MODEL.name, position)
    shown = await queries.of_user(services.models, user.bank_id, user.user_id, only_active=True)
    rows = shown_value(request, shown)
    opener = await Opener.of(services, rows)
    devices = [_shown(opener, row) for row in rows if opener.can_open(row)]
    await note_list(request, user, len(devices), user.customer)
    return Response(orjson.dumps(devices), media_type="application/json")


@router.delete(
    "/devices/{deviceId:path}",
    summary="Remove one of the user's devices",
    response_model=Message,
    responses=_errors(400, 401, 403, 404, 429, 503),
)
async def remove_device(
    request: Request,
    user: UserRemover,
    device_id: Annotated[
        str,
        AfterValidator(values.device_id),
        Path(alias="deviceId", description="The percent-encoded rest of the path."),
    ],
) -> Response:
    """Ends the registration and the link. Again is 200."""
    command = DeactivateDevice(
        customer=user.customer,
        context=context_of(request, user),
        device_token=services_of(request).tokens.device(device_id),
    )
    await submit_or_refuse(request, command, user)
    content = {"message": "Device successfully removed"}
    return Response(orjson.dumps(content), media_type="application/json")


def _shown(opener: Opener, row: Device) -> dict[str, str | None]:
    name, address = row.sealed_name, row.sealed_address
    return {
        "deviceId": opener.open(row, "deviceId", row.sealed_device_id),
        "deviceName": opener.open(row, "deviceName", name) if name else "Unknown device",
        "deviceType": row.type or "Unknown",
        "ipAddress": opener.open(row, "ipAddress", address) if address else None,
        "lastLogin": row.last_seen_at or row.registered_at,
    }
