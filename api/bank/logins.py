"""Tell that a login was seen on a device, and deactivate devices."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, Field

from api.callers import BankCaller
from api.commands import (
    IdempotencyKey,
    Sealer,
    context_of,
    customer_of,
    submit_or_refuse,
    submit_sealed,
)
from api.moments import moment, written
from api.peere import Body, CustomerId, DeviceId, Outcome, answer, errors
from api.route import GuardedRoute
from api.services import Services, services_of
from api.user_agent import describe
from device_ledger.domain.customer.deactivate import DeactivateDevice
from device_ledger.domain.customer.login_seen import SeeLogin, Seen
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.geo import NOWHERE

router = APIRouter(prefix="/v1/bank/customer/device", tags=["bank"], route_class=GuardedRoute)

AHEAD_MAX: Final = timedelta(minutes=5)


def _seen_at(text: str) -> str:
    seen_at = moment("seenAt", text)
    if seen_at - datetime.now(UTC) > AHEAD_MAX:
        raise ValueError("seenAt is more than 5 minutes ahead")
    return written(seen_at)


def _address(text: str) -> str:
    wrong = ValueError("ipAddress must be an IPv4 or IPv6 address, without a zone")
    if "%" in text:
        raise wrong
    try:
        return str(ip_address(text))
    except ValueError:
        raise wrong from None


def _printable(name: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not text.isprintable():
            raise ValueError(f"{name} must be printable characters")
        return text

    return check


InfoText = Annotated[
    str, Field(min_length=1, max_length=64), AfterValidator(_printable("deviceInfo"))
]


class DeviceInfo(Body):
    """What is known of a device's make."""

    model: InfoText | None = Field(None, examples=["SM-S727VL"])
    brand: InfoText | None = Field(None, examples=["Samsung"])
    os: InfoText | None = Field(None, examples=["Android"])
    osVersion: InfoText | None = Field(None, examples=["10"])  # noqa: N815
    appVersion: InfoText | None = Field(None, examples=["2.6.338"])  # noqa: N815
    browser: InfoText | None = Field(None, examples=["Chrome"])
    browserVersion: InfoText | None = Field(None, examples=["66.0.3359.158"])  # noqa: N815
    browserEngine: InfoText | None = Field(None, examples=["WebKit"])  # noqa: N815
    browserEngineVersion: InfoText | None = Field(None, examples=["537.36"])  # noqa: N815


class CustomerDevice(Body):
    """A customer and one of the customer's devices."""

    customerId: CustomerId  # noqa: N815 - the family's own name
    deviceId: DeviceId  # noqa: N815 - the family's own name


class Login(CustomerDevice):
    """A login; what it doesn't tell of the device is taken from ``userAgent``, or stays."""

    seenAt: Annotated[str, AfterValidator(_seen_at)] | None = Field(  # noqa: N815
        None,
        description="When, now by default; at most 5 minutes ahead.",
        examples=["2026-01-31T09:30:00.000Z"],
        json_schema_extra={"format": "date-time"},
    )
    ipAddress: Annotated[str, AfterValidator(_address)] | None = Field(  # noqa: N815
        None, examples=["192.0.2.17"]
    )
    userAgent: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(  # noqa: N815
        None, examples=["Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148"]
    )
    deviceName: (  # noqa: N815
        Annotated[
            str, Field(min_length=1, max_length=128), AfterValidator(_printable("deviceName"))
        ]
        | None
    ) = Field(None, examples=["Sam's phone"])
    deviceType: Literal["Mobile", "Tablet", "Desktop", "Other", "Unknown"] | None = None  # noqa: N815
    deviceInfo: DeviceInfo | None = None  # noqa: N815


class SeenLogin(BaseModel):
    """Whose device it is now, and its registration."""

    userId: str = Field(examples=["0f8b5c1e-9d55-8c6a-8f53-2f9f6f5c7a42"])  # noqa: N815
    registrationId: str = Field(examples=["7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"])  # noqa: N815


class LoginOutcome(Outcome):
    """The answer of login-seen."""

    data: SeenLogin


@router.post(
    "/login-seen",
    summary="Tell that a customer's login was seen on a device",
    response_model=LoginOutcome,
    responses=errors(400, 401, 403, 409, 413, 422, 429, 503),
)
async def login_seen(
    request: Request, bank: BankCaller, body: Login, key: IdempotencyKey = None
) -> Response:
    """Registers the device at its first login. It links nothing."""
    services = services_of(request)
    customer = customer_of(services, bank.bank_id, body.customerId)
    context = context_of(request, bank)

    def command(sealer: Sealer) -> SeeLogin:
        return SeeLogin(
            customer=customer,
            context=context,
            device=sealer.device(body.deviceId),
            seen_at=body.seenAt or context.at,
            seen=_seen(services, customer, sealer, body),
            max_active_devices=services.settings.max_active_devices,
        )

    done = await submit_sealed(request, command, customer, bank, key)
    return answer("Device login recorded", done.details)


@router.post(
    "/deactivate",
    summary="Deactivate a customer's device",
    response_model=Outcome,
    responses=errors(400, 401, 403, 404, 413, 422, 429, 503),
)
async def deactivate(
    request: Request, bank: BankCaller, body: CustomerDevice, key: IdempotencyKey = None
) -> Response:
    """Ends the registration and the device's link to this customer. Again is 200."""
    services = services_of(request)
    command = DeactivateDevice(
        customer=customer_of(services, bank.bank_id, body.customerId),
        context=context_of(request, bank),
        device_token=services.tokens.device(body.deviceId),
    )
    await submit_or_refuse(request, command, bank, key)
    return answer("Device deactivated successfully")


def _seen(services: Services, customer: CustomerRef, sealer: Sealer, body: Login) -> Seen:
    told = describe(body.userAgent) if body.userAgent else None
    info = body.deviceInfo.model_dump(exclude_none=True) if body.deviceInfo else {}
    name = body.deviceName or (told.name if told else "")
    kind = body.deviceType or (told.device_type if told else "Unknown")
    bank_id, user_id = customer.bank_id, customer.user_id
    address = body.ipAddress
    where = services.geo.locate(address) if address else NOWHERE
    return Seen(
        device_type=None if kind == "Unknown" and not body.deviceType else kind,
        info=(info if body.deviceInfo else dict(told.info) if told else {}) or None,
        name_token=services.tokens.name(bank_id, user_id, name) if name else None,
        sealed_name=sealer.seal("deviceName", name) if name else None,
        address_token=services.tokens.address(address) if address else None,
        sealed_address=sealer.seal("ipAddress", address) if address else None,
        country=where.country,
        cell=where.cell,
    )
