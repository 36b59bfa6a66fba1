"""Deactivate devices: end their registrations, and their links with them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from device_ledger.domain.claim import claim_id
from device_ledger.domain.customer.command import Claims, Command, Decision
from device_ledger.domain.customer.events import DeviceDeactivated, DeviceErased
from device_ledger.domain.customer.state import ENDED_KEPT, Customer
from device_ledger.domain.customer.unlink import end_links
from device_ledger.domain.errors import NoSuchDeviceError


@dataclass(frozen=True, kw_only=True)
class DeactivateDevice(Command):
    """A bank or a user removes one device, by its token or by its registration's ID.

    By its registration's ID it is enough that the device is not there afterwards.
    """

    name: ClassVar[str] = "deactivate"

    device_token: str | None = None
    registration_id: str | None = None

    @property
    def subject_token(self) -> str:
        """The device's token; by registration ID the user's ID."""
        return self.device_token or self.customer.user_id

    def claims(self, customer: Customer | None) -> Collection[UUID]:
        """Those of the device's link, if it has one."""
        token = customer and self._target(customer)
        return claims_of_links(customer, [token]) if customer and token else ()

    def decide(self, customer: Customer, claims: Claims) -> Decision:  # noqa: ARG002
        """Done already where it has ended; a token that the customer never had is refused."""
        token = self._target(customer)
        if token is None and self.device_token is not None:
            raise NoSuchDeviceError
        return _deactivate(customer, [token] if token else [], self.context.at)

    def _target(self, customer: Customer) -> str | None:
        if self.device_token is not None:
            return self.device_token if self.device_token in customer.devices else None
        for token, one in customer.devices.items():
            if one.registration_id == self.registration_id:
                return token
        return None


@dataclass(frozen=True, kw_only=True)
class DeactivateAllDevices(Command):
    """A user removes all of the user's devices."""

    name: ClassVar[str] = "deactivate-all"

    @property
    def subject_token(self) -> str:
        """The user's ID."""
        return self.customer.user_id

    def claims(self, customer: Customer | None) -> Collection[UUID]:
        """Those of all links."""
        return claims_of_links(customer, list(customer.linked())) if customer else ()

    def decide(self, customer: Customer, claims: Claims) -> Decision:  # noqa: ARG002
        """Nothing where there is none."""
        return _deactivate(customer, list(customer.devices), self.context.at)


def claims_of_links(customer: Customer, tokens: Collection[str]) -> list[UUID]:
    """The claims that those of these devices hold that are linked, and the phrase's."""
    linked = [token for token in tokens if customer.devices[token].linked_at is not None]
    claims = [claim_id("device", token) for token in linked]
    if linked and customer.phrase_token:
        claims.append(claim_id("phrase", customer.phrase_token))
    return claims


def _deactivate(customer: Customer, tokens: Collection[str], at: str) -> Decision:
    ending = [token for token in tokens if customer.active(token)]
    events = end_links(customer, ending, at)
    for token in ending:
        registration_id = customer.devices[token].registration_id
        events.append(DeviceDeactivated(token, registration_id, deactivated_at=at))
    return [*events, *_forget_oldest(customer, ending)]


def _forget_oldest(customer: Customer, ending: Collection[str]) -> list[DeviceErased]:
    ended = [
        (one.deleted_at, one.registration_id, token)
        for token, one in customer.devices.items()
        if one.deleted_at is not None
    ]
    surplus = len(ended) + len(ending) - ENDED_KEPT
    if surplus <= 0:
        return []
    oldest = sorted(ended)[:surplus]
    return [DeviceErased(token, registration, "retention") for _, registration, token in oldest]
