"""Unlink a device from a customer; also the end of a link that a deactivation brings."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from device_ledger.domain.claim import ClaimReleased, claim_id
from device_ledger.domain.customer.command import Claims, Command, Decision
from device_ledger.domain.customer.events import DeviceUnlinked
from device_ledger.domain.customer.state import Customer
from device_ledger.domain.errors import NotLinkedError


@dataclass(frozen=True, kw_only=True)
class UnlinkDevice(Command):
    """A bank ends a link that it names whole: customer, phrase and device."""

    name: ClassVar[str] = "unlink"

    device_token: str
    phrase_token: str

    @property
    def subject_token(self) -> str:
        """The device's token."""
        return self.device_token

    def claims(self, customer: Customer | None) -> Collection[UUID]:  # noqa: ARG002
        """The device's and the phrase's."""
        return (claim_id("device", self.device_token), claim_id("phrase", self.phrase_token))

    def decide(self, customer: Customer, claims: Claims) -> Decision:  # noqa: ARG002
        """Nothing but the whole of the link will do."""
        known = customer.devices.get(self.device_token)
        if known is None or known.linked_at is None or customer.phrase_token != self.phrase_token:
            raise NotLinkedError
        return end_links(customer, [self.device_token], self.context.at)


def end_links(customer: Customer, device_tokens: Collection[str], at: str) -> Decision:
    """The events that end these links; the phrase is free again with the last one of all."""
    ending = [token for token in device_tokens if customer.devices[token].linked_at is not None]
    events: Decision = []
    for token in ending:
        registration_id = customer.devices[token].registration_id
        events.append(DeviceUnlinked(token, registration_id, unlinked_at=at))
        events.append(ClaimReleased(claim_id("device", token)))
    if ending and customer.phrase_token and set(ending) == set(customer.linked()):
        events.append(ClaimReleased(claim_id("phrase", customer.phrase_token)))
    return events
