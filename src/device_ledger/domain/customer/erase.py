"""Erase a customer: nothing of it can be opened afterwards, at whatever place it lies."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from device_ledger.domain.customer.command import Claims, Command, Decision
from device_ledger.domain.customer.deactivate import claims_of_links
from device_ledger.domain.customer.events import DeviceDeactivated, DeviceErased, ErasureOrdered
from device_ledger.domain.customer.state import Customer
from device_ledger.domain.customer.unlink import end_links
from device_ledger.domain.errors import NoSuchCustomerError


@dataclass(frozen=True, kw_only=True)
class EraseCustomer(Command):
    """A security lead erases a customer of a bank.

    ``key_generation`` is the newest data key that the vault ever made for the customer, 0 for
    none: also one under which a command that isn't decided yet has sealed its values.
    """

    name: ClassVar[str] = "erase"

    key_generation: int
    reason: str
    requested_by: str | None = None

    @property
    def subject_token(self) -> str:
        """The user's ID."""
        return self.customer.user_id

    def claims(self, customer: Customer | None) -> Collection[UUID]:
        """Those of all links."""
        return claims_of_links(customer, list(customer.linked())) if customer else ()

    def decide(self, customer: Customer, claims: Claims) -> Decision:  # noqa: ARG002
        """Nothing where all its keys were given up before; a customer nobody knows is refused."""
        generation = max(self.key_generation, customer.key_generation)
        if max(generation, customer.erased_generation) == 0:
            raise NoSuchCustomerError
        if generation <= customer.erased_generation:
            return []
        at = self.context.at
        devices = customer.devices.items()
        ordered = ErasureOrdered(generation, len(devices), self.reason, self.requested_by)
        return [
            *end_links(customer, list(customer.devices), at),
            *(
                DeviceDeactivated(token, one.registration_id, at)
                for token, one in devices
                if one.deleted_at is None
            ),
            *(DeviceErased(token, one.registration_id, "erasure") for token, one in devices),
            ordered,
        ]

    def details(self, customer: Customer) -> dict[str, str]:
        """Also up to which generation the customer's keys are given up."""
        return super().details(customer) | {"keyGeneration": str(customer.erased_generation)}
