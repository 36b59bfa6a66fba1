"""The standard customers, devices and commands; nothing here is random."""

from dataclasses import replace
from itertools import count
from uuid import UUID

from device_ledger.domain.customer.command import Context, Device
from device_ledger.domain.customer.deactivate import DeactivateAllDevices, DeactivateDevice
from device_ledger.domain.customer.erase import EraseCustomer
from device_ledger.domain.customer.link import LinkDevice
from device_ledger.domain.customer.login_seen import SeeLogin, Seen
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.domain.customer.unlink import UnlinkDevice
from device_ledger.ledger.receipts import Receipt

_numbers = count(1)

NOW = "2026-01-31T09:30:00.000Z"
LATER = "2026-01-31T10:00:00.000Z"
EARLIER = "2026-01-31T09:00:00.000Z"

ANNA = CustomerRef("bank-a", "11111111-1111-4111-8111-111111111111", "anna")
BERT = CustomerRef("bank-a", "22222222-2222-4222-8222-222222222222", "bert")
CARL_OF_BANK_B = CustomerRef("bank-b", "33333333-3333-4333-8333-333333333333", "carl")

PHONE = Device("token-of-phone", "sealed-phone", 1, "aaaaaaaa-0000-4000-8000-000000000001")
TABLET = Device("token-of-tablet", "sealed-tablet", 1, "aaaaaaaa-0000-4000-8000-000000000002")

IPHONE = {"brand": "Apple", "model": "iPhone", "os": "iOS"}


def context(at: str = NOW) -> Context:
    """The standard bank's back end asks."""
    return Context(subject="bank-a-backend", client="core", request_id="req-1", at=at)


def another_device() -> Device:
    """A device that no other test has."""
    number = next(_numbers)
    return Device(f"token-{number}", f"sealed-{number}", 1, str(UUID(int=number)))


def another_customer(bank_id: str = "bank-a") -> CustomerRef:
    """A customer that no other test has."""
    number = next(_numbers)
    return CustomerRef(bank_id, str(UUID(int=number)), f"customer-{number}")


def link(
    customer: CustomerRef = ANNA, device: Device = PHONE, phrase: str = "blue", at: str = NOW
) -> LinkDevice:
    """Link a device under a phrase."""
    return LinkDevice(
        customer=customer,
        context=context(at),
        device=device,
        phrase_token=f"phrase-{customer.bank_id}-{phrase}",
        sealed_phrase=f"sealed-{phrase}",
        max_active_devices=3,
    )


def unlink(
    customer: CustomerRef = ANNA, device: Device = PHONE, phrase: str = "blue", at: str = LATER
) -> UnlinkDevice:
    """Unlink a device from its phrase."""
    return UnlinkDevice(
        customer=customer,
        context=context(at),
        device_token=device.token,
        phrase_token=f"phrase-{customer.bank_id}-{phrase}",
    )


def login(
    customer: CustomerRef = ANNA, device: Device = PHONE, seen_at: str = NOW, **seen: object
) -> SeeLogin:
    """See a login that told ``seen``."""
    return SeeLogin(
        customer=customer,
        context=context(),
        device=device,
        seen_at=seen_at,
        seen=replace(Seen(), **seen),  # type: ignore[arg-type]
        max_active_devices=3,
    )


def deactivate(
    customer: CustomerRef = ANNA, device: Device = PHONE, at: str = LATER
) -> DeactivateDevice:
    """Deactivate a device by its token."""
    return DeactivateDevice(customer=customer, context=context(at), device_token=device.token)


def deactivate_all(customer: CustomerRef = ANNA, at: str = LATER) -> DeactivateAllDevices:
    """Deactivate all devices of a customer."""
    return DeactivateAllDevices(customer=customer, context=context(at))


def erase(customer: CustomerRef = ANNA, key_generation: int = 1, at: str = LATER) -> EraseCustomer:
    """Erase a customer, for whom the vault made keys up to a generation."""
    return EraseCustomer(
        customer=customer,
        context=context(at),
        key_generation=key_generation,
        reason="request 17",
        requested_by="customer",
    )


def receipt(key: str | None = None, body: str = "body") -> Receipt:
    """The receipt of an Idempotency-Key; without one, of nobody else's."""
    if key is None:
        return Receipt(f"unkeyed-{next(_numbers)}", body, keyed=False)
    return Receipt(f"keyed-{key}", body, keyed=True)
