"""Link a device to a customer and the customer's phrase."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from device_ledger.domain.claim import ClaimTaken, claim_id
from device_ledger.domain.customer.command import (
    Claims,
    Command,
    Decision,
    Device,
    registration,
    require_key,
)
from device_ledger.domain.customer.events import DeviceLinked
from device_ledger.domain.customer.state import Customer
from device_ledger.domain.errors import DeviceTakenError, OtherPhraseError, PhraseTakenError


@dataclass(frozen=True, kw_only=True)
class LinkDevice(Command):
    """A bank links a device; this registers it too where it isn't."""

    name: ClassVar[str] = "link"

    device: Device
    phrase_token: str
    sealed_phrase: str
    max_active_devices: int

    @property
    def subject_token(self) -> str:
        """The device's token."""
        return self.device.token

    @property
    def device_claim(self) -> UUID:
        """The claim on the device, one across all banks."""
        return claim_id("device", self.device.token)

    @property
    def phrase_claim(self) -> UUID:
        """The claim on the phrase, one a bank."""
        return claim_id("phrase", self.phrase_token)

    def claims(self, customer: Customer | None) -> Collection[UUID]:  # noqa: ARG002
        """The device's and the phrase's."""
        return (self.device_claim, self.phrase_claim)

    def decide(self, customer: Customer, claims: Claims) -> Decision:
        """Refusals in the order that callers were promised: device, phrase, own phrase, limit."""
        require_key(self.device, customer)
        if claims[self.device_claim].is_held_by_other(customer.aggregate_id):
            raise DeviceTakenError
        if claims[self.phrase_claim].is_held_by_other(customer.aggregate_id):
            raise PhraseTakenError
        if customer.phrase_token not in (None, self.phrase_token):
            raise OtherPhraseError
        known = customer.devices.get(self.device.token)
        if known and known.linked_at:
            return []
        registered = registration(self.device, customer, self.max_active_devices, self.context.at)
        linked = DeviceLinked(
            device_token=self.device.token,
            registration_id=known.registration_id if known else self.device.new_registration_id,
            key_generation=self.device.key_generation,
            sealed_device_id=self.device.sealed_id,
            phrase_token=self.phrase_token,
            sealed_phrase=self.sealed_phrase,
            linked_at=self.context.at,
            info=known.info if known else None,
        )
        taken = [ClaimTaken(self.device_claim, customer.aggregate_id)]
        if claims[self.phrase_claim].holder is None:
            taken.append(ClaimTaken(self.phrase_claim, customer.aggregate_id))
        return [*registered, linked, *taken]
