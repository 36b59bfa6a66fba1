"""A customer's devices as the decisions see them, folded from the customer's events."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID, uuid5

from device_ledger.domain.customer.events import (
    CustomerEvent,
    DeviceDeactivated,
    DeviceErased,
    DeviceLinked,
    DeviceRegistered,
    DeviceUnlinked,
    ErasureOrdered,
    LoginSeen,
)

_NAMESPACE = UUID("b1d0e7f4-0b0d-5c6a-8f53-2f9f6f5c7a42")

ENDED_KEPT = 500
"""How many ended registrations of a customer are kept, the newest."""


@dataclass(frozen=True)
class CustomerRef:
    """Whom a command is about. ``customer_id`` is unknown where a user's token named the user."""

    bank_id: str
    user_id: str
    customer_id: str | None = None

    @cached_property
    def aggregate_id(self) -> UUID:
        """The ID of the customer's aggregate: the same for the same bank and user, for ever."""
        return uuid5(_NAMESPACE, f"{len(self.bank_id)}:{self.bank_id}:{self.user_id}")


@dataclass
class Registration:
    """A device of the customer; linked while ``linked_at`` is set, active until ``deleted_at``."""

    registration_id: str
    registered_at: str
    linked_at: str | None = None
    deleted_at: str | None = None
    last_seen_at: str | None = None
    device_type: str | None = None
    info: dict[str, str] | None = None
    name_token: str | None = None
    address_token: str | None = None


@dataclass
class Customer:
    """The aggregate: its phrase while it has one, and its registrations by device token.

    What was sealed under a data key up to ``erased_generation`` can't be opened any more.
    """

    ref: CustomerRef
    key_generation: int = 0
    erased_generation: int = 0
    phrase_token: str | None = None
    devices: dict[str, Registration] = field(default_factory=dict)

    @property
    def aggregate_id(self) -> UUID:
        """The ID that claims name their holder by."""
        return self.ref.aggregate_id

    def active(self, device_token: str) -> Registration | None:
        """The registration of a device, unless it has ended or never was."""
        registration = self.devices.get(device_token)
        return registration if registration and registration.deleted_at is None else None

    def active_count(self) -> int:
        """How many registrations are active."""
        return sum(1 for one in self.devices.values() if one.deleted_at is None)

    def linked(self) -> Iterable[str]:
        """The tokens of the devices that are linked now."""
        return (token for token, one in self.devices.items() if one.linked_at is not None)


def evolve(customer: Customer, event: CustomerEvent) -> None:
    """Copy a fact into the customer. It never judges, so that history always loads."""
    match event:
        case DeviceRegistered():
            _registered(customer, event)
        case DeviceLinked():
            customer.devices[event.device_token].linked_at = event.linked_at
            customer.phrase_token = event.phrase_token
        case DeviceUnlinked():
            customer.devices[event.device_token].linked_at = None
            if not any(customer.linked()):
                customer.phrase_token = None
        case LoginSeen():
            _seen(customer.devices[event.device_token], event)
        case DeviceDeactivated():
            customer.devices[event.device_token].deleted_at = event.deactivated_at
        case DeviceErased():
            del customer.devices[event.device_token]
        case ErasureOrdered():
            customer.erased_generation = event.key_generation


def _registered(customer: Customer, event: DeviceRegistered) -> None:
    customer.key_generation = event.key_generation
    known = customer.devices.get(event.device_token)
    if known is None:
        customer.devices[event.device_token] = Registration(
            event.registration_id, event.registered_at
        )
    else:
        known.deleted_at = None


def _seen(registration: Registration, event: LoginSeen) -> None:
    if registration.last_seen_at is None or event.seen_at > registration.last_seen_at:
        registration.last_seen_at = event.seen_at
    registration.device_type = event.device_type or registration.device_type
    registration.info = event.info or registration.info
    registration.name_token = event.name_token or registration.name_token
    registration.address_token = event.address_token or registration.address_token
