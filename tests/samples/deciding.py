"""Given events, when command, then exactly these events."""

from collections.abc import Sequence
from uuid import UUID

from device_ledger.domain.claim import Claim, ClaimReleased, ClaimTaken, claim_id, evolve_claim
from device_ledger.domain.customer.command import Command, Decision, Device
from device_ledger.domain.customer.events import (
    DeviceDeactivated,
    DeviceErased,
    DeviceLinked,
    DeviceRegistered,
    DeviceUnlinked,
    ErasureOrdered,
    LoginSeen,
)
from device_ledger.domain.customer.state import Customer, CustomerRef, evolve
from tests.samples.commands import ANNA, LATER, NOW, PHONE

Given = Sequence[tuple[CustomerRef, object]]


def decide(given: Given, command: Command) -> Decision:
    """What the command comes to after these events, each with its customer."""
    customer = Customer(command.customer)
    claims: dict[UUID, Claim] = {}
    for ref, event in given:
        if isinstance(event, ClaimTaken | ClaimReleased):
            evolve_claim(claims.setdefault(event.claim_id, Claim(event.claim_id)), event)
        elif ref == command.customer:
            evolve(customer, event)  # type: ignore[arg-type]
    for needed in command.claims(customer):
        claims.setdefault(needed, Claim(needed))
    return command.decide(customer, claims)


def registered(
    device: Device = PHONE, at: str = NOW, customer: CustomerRef = ANNA
) -> tuple[CustomerRef, DeviceRegistered]:
    """A device was registered."""
    return customer, DeviceRegistered(
        device.token, device.new_registration_id, device.key_generation, device.sealed_id, at
    )


def linked(
    device: Device = PHONE, phrase: str = "blue", at: str = NOW, customer: CustomerRef = ANNA
) -> tuple[CustomerRef, DeviceLinked]:
    """A device was linked under a phrase."""
    return customer, DeviceLinked(
        device.token,
        device.new_registration_id,
        device.key_generation,
        device.sealed_id,
        f"phrase-{customer.bank_id}-{phrase}",
        f"sealed-{phrase}",
        at,
    )


def unlinked(
    device: Device = PHONE, at: str = LATER, customer: CustomerRef = ANNA
) -> tuple[CustomerRef, DeviceUnlinked]:
    """A link ended."""
    return customer, DeviceUnlinked(device.token, device.new_registration_id, at)


def seen(
    device: Device = PHONE, at: str = NOW, customer: CustomerRef = ANNA, **told: object
) -> tuple[CustomerRef, LoginSeen]:
    """A login was seen."""
    return customer, LoginSeen(
        device.token,
        device.new_registration_id,
        device.key_generation,
        at,
        **told,  # type: ignore[arg-type]
    )


def deactivated(
    device: Device = PHONE, at: str = LATER, customer: CustomerRef = ANNA
) -> tuple[CustomerRef, DeviceDeactivated]:
    """A registration ended."""
    return customer, DeviceDeactivated(device.token, device.new_registration_id, at)


def erased(
    device: Device = PHONE, customer: CustomerRef = ANNA
) -> tuple[CustomerRef, DeviceErased]:
    """A registration went with its customer."""
    return customer, DeviceErased(device.token, device.new_registration_id, "erasure")


def erasure_ordered(
    devices: int, key_generation: int = 1, customer: CustomerRef = ANNA
) -> tuple[CustomerRef, ErasureOrdered]:
    """A customer's keys were given up."""
    return customer, ErasureOrdered(key_generation, devices, "request 17", "customer")


def device_taken(
    device: Device = PHONE, customer: CustomerRef = ANNA
) -> tuple[CustomerRef, ClaimTaken]:
    """A customer holds a device."""
    return customer, ClaimTaken(claim_id("device", device.token), customer.aggregate_id)


def phrase_taken(
    phrase: str = "blue", customer: CustomerRef = ANNA
) -> tuple[CustomerRef, ClaimTaken]:
    """A customer holds a phrase of its bank."""
    token = f"phrase-{customer.bank_id}-{phrase}"
    return customer, ClaimTaken(claim_id("phrase", token), customer.aggregate_id)


def device_free(device: Device = PHONE) -> tuple[CustomerRef, ClaimReleased]:
    """Nobody holds a device."""
    return ANNA, ClaimReleased(claim_id("device", device.token))


def phrase_free(phrase: str = "blue") -> tuple[CustomerRef, ClaimReleased]:
    """Nobody holds a phrase of the standard bank."""
    return ANNA, ClaimReleased(claim_id("phrase", f"phrase-bank-a-{phrase}"))


def facts(*given: tuple[CustomerRef, object]) -> list[object]:
    """The events alone."""
    return [event for _, event in given]


LINKED_PHONE = (registered(), linked(), device_taken(), phrase_taken())
"""The standard customer's phone is linked under the standard phrase."""
