"""The Banno family: a user's device registrations, also for the user's admin."""

import uuid
from functools import lru_cache
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from api.access import note_list
from api.callers import ANOTHER_USER, UUID_PATTERN, ReaderOfUser, RemoverOfUser
from api.commands import context_of, submit_or_refuse
from api.documented import LOGIN_TOO_OLD, Words, errors
from api.errors import BANNO, NOT_AUTHENTICATED
from api.reads import MinPosition, Opener, shown_value, wait_for
from api.route import GuardedRoute
from api.services import services_of
from device_ledger.domain.customer.deactivate import DeactivateAllDevices, DeactivateDevice
from device_ledger.domain.values import is_uuid
from projections.devices import queries
from projections.devices.apply import MODEL, Device

router = APIRouter(
    prefix="/a/consumer/api/v0/users/{userId}/devices",
    tags=["user (Banno)"],
    route_class=GuardedRoute,
)

_INSTITUTIONS: Final = uuid.UUID("2b7a1f35-5d0e-5b8e-9d1c-6a1f0c9e4b77")
"""Namespace of the IDs of institutions whose bank ID is no UUID."""


class DeviceInfo(BaseModel):
    """What is known of a device's make; what isn't is left out."""

    model: str | None = Field(None, examples=["SM-S727VL"])
    brand: str | None = Field(None, examples=["Samsung"])
    os: str | None = Field(None, examples=["Android"])
    osVersion: str | None = Field(None, examples=["10"])  # noqa: N815 - the family's own name
    appVersion: str | None = Field(None, examples=["2.6.338"])  # noqa: N815
    browser: str | None = Field(None, examples=["Chrome"])
    browserVersion: str | None = Field(None, examples=["66.0.3359.158"])  # noqa: N815
    browserEngine: str | None = Field(None, examples=["WebKit"])  # noqa: N815
    browserEngineVersion: str | None = Field(None, examples=["537.36"])  # noqa: N815


class DeviceRegistration(BaseModel):
    """A device with a user and an institution; with ``deletedAt`` it has ended."""

    jwtDeviceRegistrationId: uuid.UUID  # noqa: N815
    institutionId: uuid.UUID  # noqa: N815
    deviceId: str = Field(examples=["d3v1c3-00000001"])  # noqa: N815
    deviceInfo: DeviceInfo  # noqa: N815
    createdAt: str = Field(examples=["2026-01-31T09:30:00.000Z"])  # noqa: N815
    updatedAt: str = Field(examples=["2026-01-31T09:30:00.000Z"])  # noqa: N815
    lastSeenAt: str = Field(examples=["2026-01-31T09:30:00.000Z"])  # noqa: N815
    deletedAt: str | None = Field(None, examples=["2026-02-01T10:00:00.000Z"])  # noqa: N815


class Registrations(BaseModel):
    """A user's device registrations."""

    registrations: list[DeviceRegistration]


_WORDS: Final[Words] = {
    400: ("No JWT found, a bad or expired one, or bad data.", NOT_AUTHENTICATED),
    401: LOGIN_TOO_OLD,
    403: ("These are another user's devices.", ANOTHER_USER),
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return errors(BANNO, str, *statuses, words=_WORDS)


@router.get(
    "",
    summary="List a user's device registrations",
    response_model=Registrations,
    response_model_exclude_none=True,
    responses=_errors(400, 403, 429, 503),
)
async def list_registrations(
    request: Request,
    user: ReaderOfUser,
    position: MinPosition,
    only_active: Annotated[bool, Query(alias="onlyActive")] = True,
) -> Response:
    """The active ones; with `onlyActive=false` also those that have ended."""
    services = services_of(request)
    await wait_for(services, MODEL.name, position)
    shown = await queries.of_user(
        services.models, user.bank_id, user.user_id, only_active=only_active
    )
    rows = shown_value(request, shown)
    opener = await Opener.of(services, rows)
    registrations = [_shown(opener, row) for row in rows if opener.can_open(row)]
    await note_list(request, user, len(registrations), user.customer)
    content = orjson.dumps({"registrations": registrations})
    return Response(content, media_type="application/json")


@router.delete(
    "",
    status_code=204,
    summary="Deactivate all of a user's devices",
    responses=_errors(400, 401, 403, 429, 503),
)
async def remove_all(request: Request, user: RemoverOfUser) -> Response:
    """Also where there was none."""
    command = DeactivateAllDevices(customer=user.customer, context=context_of(request, user))
    await submit_or_refuse(request, command, user)
    return Response(status_code=204)


@router.delete(
    "/{deviceRegistrationId}",
    status_code=204,
    summary="Deactivate a user's device",
    responses=_errors(400, 401, 403, 429, 503),
)
async def remove_one(
    request: Request,
    user: RemoverOfUser,
    registration_id: Annotated[
        str,
        Path(
            alias="deviceRegistrationId",
            pattern=UUID_PATTERN,
            json_schema_extra={"format": "uuid"},
        ),
    ],
) -> Response:
    """Also where there was no such device."""
    command = DeactivateDevice(
        customer=user.customer,
        context=context_of(request, user),
        registration_id=registration_id.lower(),
    )
    await submit_or_refuse(request, command, user)
    return Response(status_code=204)


@lru_cache(maxsize=1024)
def institution_id(bank_id: str) -> str:
    """The bank's ID where that is a UUID, else a UUIDv5 of it."""
    return bank_id.lower() if is_uuid(bank_id) else str(uuid.uuid5(_INSTITUTIONS, bank_id))


def _shown(opener: Opener, row: Device) -> dict[str, object]:
    shown = {
        "jwtDeviceRegistrationId": row.registration_id,
        "institutionId": institution_id(row.bank_id),
        "deviceId": opener.open(row, "deviceId", row.sealed_device_id),
        "deviceInfo": orjson.loads(row.info),
        "createdAt": row.registered_at,
        "updatedAt": row.updated_at,
        "lastSeenAt": row.last_seen_at or row.registered_at,
    }
    return shown | ({"deletedAt": row.deleted_at} if row.deleted_at else {})
