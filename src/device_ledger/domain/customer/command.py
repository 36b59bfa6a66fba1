"""What every command of a customer's devices is made of."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from device_ledger.domain.claim import Claim, ClaimEvent
from device_ledger.domain.customer.events import CustomerEvent, DeviceRegistered
from device_ledger.domain.customer.state import Customer, CustomerRef
from device_ledger.domain.errors import KeyGivenUpError, TooManyDevicesError

Claims = Mapping[UUID, Claim]
Decision = list[CustomerEvent | ClaimEvent]


@dataclass(frozen=True)
class Context:
    """Who asks, under which request ID, and when (the clock of whoever took the command)."""

    subject: str
    client: str | None
    request_id: str
    at: str


@dataclass(frozen=True)
class Device:
    """The device of a command: its token, its sealed ID, and the ID its registration would get."""

    token: str
    sealed_id: str
    key_generation: int
    new_registration_id: str


@dataclass(frozen=True, kw_only=True)
class Command(ABC):
    """A wish about one customer's devices; :meth:`decide` says what it comes to."""

    name: ClassVar[str]

    customer: CustomerRef
    context: Context

    @property
    @abstractmethod
    def subject_token(self) -> str:
        """What a refusal of it is filed under: the device's token, else the user's ID."""

    @abstractmethod
    def claims(self, customer: Customer | None) -> Collection[UUID]:
        """The claims that it needs. With no customer at hand, those that can be told without."""

    @abstractmethod
    def decide(self, customer: Customer, claims: Claims) -> Decision:
        """The events that follow; none where it is done already.

        Raises:
            RefusedError: a rule says no.
            KeyGivenUpError: its values must be sealed again, under a newer key.
        """

    def details(self, customer: Customer) -> dict[str, str]:
        """What its answer tells of the customer as it is after it."""
        registration = customer.devices.get(self.subject_token)
        user = {"userId": customer.ref.user_id}
        return user | ({"registrationId": registration.registration_id} if registration else {})


def require_key(device: Device, customer: Customer) -> None:
    """Let no value into the ledger that nobody can open.

    Raises:
        KeyGivenUpError: the customer was erased since the device's values were sealed.
    """
    if device.key_generation <= customer.erased_generation:
        raise KeyGivenUpError(customer.erased_generation)


def registration(
    device: Device, customer: Customer, max_active_devices: int, at: str
) -> list[DeviceRegistered]:
    """The event that registers a device, or brings its ended registration back; none if active.

    Raises:
        TooManyDevicesError: the customer has ``max_active_devices`` active ones.
    """
    if customer.active(device.token):
        return []
    if customer.active_count() >= max_active_devices:
        raise TooManyDevicesError
    ended = customer.devices.get(device.token)
    return [
        DeviceRegistered(
            device_token=device.token,
            registration_id=ended.registration_id if ended else device.new_registration_id,
            key_generation=device.key_generation,
            sealed_device_id=device.sealed_id,
            registered_at=at,
        )
    ]
