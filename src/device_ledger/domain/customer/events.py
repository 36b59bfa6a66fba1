"""What can have happened to a customer's devices, read as one list.

Facts in plain values. Names, device IDs, phrases and addresses are here only as tokens (keyed
hashes, to compare) and sealed values (ciphertexts, to show). Times are RFC 3339 text in UTC with
milliseconds, which compare as text.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DeviceRegistered:
    """A device was registered for the customer's user, or its ended registration came back."""

    device_token: str
    registration_id: str
    key_generation: int
    sealed_device_id: str
    registered_at: str


@dataclass(frozen=True)
class DeviceLinked:
    """A registered device was linked to the customer and the customer's phrase."""

    device_token: str
    registration_id: str
    key_generation: int
    sealed_device_id: str
    phrase_token: str
    sealed_phrase: str
    linked_at: str
    info: dict[str, str] | None = None


@dataclass(frozen=True)
class DeviceUnlinked:
    """The device's link ended; its registration stays."""

    device_token: str
    registration_id: str
    unlinked_at: str


@dataclass(frozen=True)
class LoginSeen:
    """A login was seen on a registered device, with what it told and readers are to take over."""

    device_token: str
    registration_id: str
    key_generation: int
    seen_at: str
    device_type: str | None = None
    info: dict[str, str] | None = None
    name_token: str | None = None
    sealed_name: str | None = None
    address_token: str | None = None
    sealed_address: str | None = None
    country: str | None = None
    cell: str | None = None


@dataclass(frozen=True)
class DeviceDeactivated:
    """The device's registration ended."""

    device_token: str
    registration_id: str
    deactivated_at: str


@dataclass(frozen=True)
class DeviceErased:
    """A registration is forgotten, in all that is kept of it."""

    device_token: str
    registration_id: str
    reason: str


@dataclass(frozen=True)
class ErasureOrdered:
    """All of the customer is erased: its data keys up to a generation are given up for ever.

    For the ledger alone. ``devices`` counts the registrations that went with it.
    """

    key_generation: int
    devices: int
    reason: str
    requested_by: str | None = None


@dataclass(frozen=True)
class CommandRefused:
    """A command was refused with 404 or 409. ``subject_token`` is the device's, else the user's."""

    subject_token: str
    command: str
    code: str


CustomerEvent = (
    DeviceRegistered
    | DeviceLinked
    | DeviceUnlinked
    | LoginSeen
    | DeviceDeactivated
    | DeviceErased
    | ErasureOrdered
)
