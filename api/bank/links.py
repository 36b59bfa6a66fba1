"""Link and unlink a customer's devices."""

from fastapi import APIRouter, Request, Response

from api.callers import BankCaller
from api.commands import (
    IdempotencyKey,
    Sealer,
    context_of,
    customer_of,
    submit_or_refuse,
    submit_sealed,
)
from api.peere import Body, CustomerId, DeviceId, Outcome, Phrase, answer, errors
from api.route import GuardedRoute
from api.services import services_of
from device_ledger.domain.customer.link import LinkDevice
from device_ledger.domain.customer.unlink import UnlinkDevice
from device_ledger.domain.values import normalise_phrase

router = APIRouter(prefix="/v1/bank/customer/device", tags=["bank"], route_class=GuardedRoute)


class LinkedDevice(Body):
    """A customer, the customer's phrase and a device."""

    customerId: CustomerId  # noqa: N815 - the family's own name
    phrase: Phrase
    deviceId: DeviceId  # noqa: N815 - the family's own name


@router.post(
    "/link",
    summary="Link a device to a customer and the customer's phrase",
    response_model=Outcome,
    responses=errors(400, 401, 403, 409, 413, 422, 429, 503),
)
async def link(
    request: Request, bank: BankCaller, body: LinkedDevice, key: IdempotencyKey = None
) -> Response:
    """Merchants then recognise the customer by the device. The same link again is 200."""
    services = services_of(request)
    customer = customer_of(services, bank.bank_id, body.customerId)
    context = context_of(request, bank)

    def command(sealer: Sealer) -> LinkDevice:
        return LinkDevice(
            customer=customer,
            context=context,
            device=sealer.device(body.deviceId),
            phrase_token=services.tokens.phrase(bank.bank_id, normalise_phrase(body.phrase)),
            sealed_phrase=sealer.seal("phrase", body.phrase),
            max_active_devices=services.settings.max_active_devices,
        )

    await submit_sealed(request, command, customer, bank, key)
    return answer("Device linked successfully")


@router.post(
    "/unlink",
    summary="Unlink a device from a customer",
    response_model=Outcome,
    responses=errors(400, 401, 403, 404, 413, 422, 429, 503),
)
async def unlink(
    request: Request, bank: BankCaller, body: LinkedDevice, key: IdempotencyKey = None
) -> Response:
    """Customer, phrase and device must be those of the link. The registration stays."""
    services = services_of(request)
    command = UnlinkDevice(
        customer=customer_of(services, bank.bank_id, body.customerId),
        context=context_of(request, bank),
        device_token=services.tokens.device(body.deviceId),
        phrase_token=services.tokens.phrase(bank.bank_id, normalise_phrase(body.phrase)),
    )
    await submit_or_refuse(request, command, bank, key)
    return answer("Device unlinked successfully")
