"""Note a login that was seen on a device."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from device_ledger.domain.customer.command import (
    Claims,
    Command,
    Decision,
    Device,
    registration,
    require_key,
)
from device_ledger.domain.customer.events import LoginSeen
from device_ledger.domain.customer.state import Customer, Registration


@dataclass(frozen=True)
class Seen:
    """What a login told of its device. What it didn't tell is ``None`` and stays as it was.

    ``country`` and ``cell`` are those of its address, and never there without it.
    """

    device_type: str | None = None
    info: dict[str, str] | None = None
    name_token: str | None = None
    sealed_name: str | None = None
    address_token: str | None = None
    sealed_address: str | None = None
    country: str | None = None
    cell: str | None = None


@dataclass(frozen=True, kw_only=True)
class SeeLogin(Command):
    """A bank saw its customer log in; this registers the device, and never links it."""

    name: ClassVar[str] = "login-seen"

    device: Device
    seen_at: str
    seen: Seen
    max_active_devices: int

    @property
    def subject_token(self) -> str:
        """The device's token."""
        return self.device.token

    def claims(self, customer: Customer | None) -> Collection[UUID]:  # noqa: ARG002
        """None: a login takes nothing from anybody."""
        return ()

    def decide(self, customer: Customer, claims: Claims) -> Decision:  # noqa: ARG002
        """A login that is late tells only what wasn't known; nothing new writes nothing."""
        require_key(self.device, customer)
        registered = registration(self.device, customer, self.max_active_devices, self.context.at)
        known = customer.devices.get(self.device.token)
        told = self.seen
        if known and known.last_seen_at and self.seen_at <= known.last_seen_at:
            told = _unknown_so_far(known, self.seen)
            if not registered and told == Seen():
                return []
        return [
            *registered,
            LoginSeen(
                device_token=self.device.token,
                registration_id=known.registration_id if known else self.device.new_registration_id,
                key_generation=self.device.key_generation,
                seen_at=self.seen_at,
                device_type=told.device_type,
                info=told.info,
                name_token=told.name_token,
                sealed_name=told.sealed_name,
                address_token=told.address_token,
                sealed_address=told.sealed_address,
                country=told.country,
                cell=told.cell,
            ),
        ]


def _unknown_so_far(known: Registration, seen: Seen) -> Seen:
    name_is_new = known.name_token is None
    address_is_new = known.address_token is None
    return Seen(
        device_type=seen.device_type if known.device_type is None else None,
        info=seen.info if known.info is None else None,
        name_token=seen.name_token if name_is_new else None,
        sealed_name=seen.sealed_name if name_is_new else None,
        address_token=seen.address_token if address_is_new else None,
        sealed_address=seen.sealed_address if address_is_new else None,
        country=seen.country if address_is_new else None,
        cell=seen.cell if address_is_new else None,
    )
