"""The public events: what goes out on Kafka, and all that a reader may know of the ledger.

An event is a CloudEvent 1.0 (https://cloudevents.io) in structured JSON. ``id`` is its ledger
position, ``subject`` the device token (for a refusal without a device, the customer's token),
which is also the key of its Kafka record. The classes below give the fields of ``data``.
All times are RFC 3339 in UTC with milliseconds (``2026-01-31T09:30:00.000Z``), so that they
compare as text. ``sealed`` values are opaque to everyone but the API.
"""

from typing import Any, Final, NamedTuple, NotRequired, TypedDict

DEVICE_REGISTERED: Final = "device.registered.v1"
DEVICE_LINKED: Final = "device.linked.v1"
DEVICE_UNLINKED: Final = "device.unlinked.v1"
DEVICE_LOGIN_SEEN: Final = "device.login_seen.v1"
DEVICE_DEACTIVATED: Final = "device.deactivated.v1"
DEVICE_ERASED: Final = "device.erased.v1"
COMMAND_REFUSED: Final = "command.refused.v1"
LEDGER_RESTORED: Final = "ledger.restored.v1"

EVENT_TYPES: Final = (
    DEVICE_REGISTERED,
    DEVICE_LINKED,
    DEVICE_UNLINKED,
    DEVICE_LOGIN_SEEN,
    DEVICE_DEACTIVATED,
    DEVICE_ERASED,
    COMMAND_REFUSED,
    LEDGER_RESTORED,
)


class Actor(TypedDict):
    """Who made the call: the token's subject and its client."""

    subject: str
    client: NotRequired[str]


class Common(TypedDict):
    """What every event says."""

    bankId: str
    customerId: NotRequired[str]
    userId: str
    actor: Actor
    requestId: str
    commandAt: str
    recordedAt: str


class DeviceInfo(TypedDict, total=False):
    """What is known of a device's make; never its name, owner or address."""

    model: str
    brand: str
    os: str
    osVersion: str
    appVersion: str
    browser: str
    browserVersion: str
    browserEngine: str
    browserEngineVersion: str


class DeviceRegistered(Common):
    """A device was registered for a customer's user, or its ended registration came back."""

    registrationId: str
    keyGeneration: int
    sealedDeviceId: str
    registeredAt: str


class DeviceLinked(Common):
    """A device was linked to a customer and the customer's phrase."""

    registrationId: str
    keyGeneration: int
    sealedDeviceId: str
    phraseToken: str
    sealedPhrase: str
    linkedAt: str
    info: NotRequired[DeviceInfo]


class DeviceUnlinked(Common):
    """A device's link to its customer ended; its registration stays."""

    registrationId: str
    unlinkedAt: str


class DeviceLoginSeen(Common):
    """A login was seen on a device. Fields that the login didn't tell are absent.

    ``country`` (ISO 3166-1, two letters) and ``cell`` (the middle of a cell of half a degree,
    ``+52.25+013.25``) are those of its address.
    """

    registrationId: str
    keyGeneration: int
    seenAt: str
    deviceType: NotRequired[str]
    info: NotRequired[DeviceInfo]
    nameToken: NotRequired[str]
    sealedName: NotRequired[str]
    addressToken: NotRequired[str]
    sealedAddress: NotRequired[str]
    country: NotRequired[str]
    cell: NotRequired[str]


class DeviceDeactivated(Common):
    """A device's registration ended."""

    registrationId: str
    deactivatedAt: str


class DeviceErased(Common):
    """A registration is forgotten: readers drop all rows that they keep of it."""

    registrationId: str
    reason: str


class CommandRefused(Common):
    """A command was refused with 404 or 409."""

    command: str
    code: str


class LedgerRestored(Common):
    """The event store was restored from a copy: the first event of its epoch in a partition.

    Events of earlier epochs with an id above ``after`` (0: all) are not part of history any more:
    a reader that applied one begins anew. ``bankId`` and ``userId`` are empty, and the subject is
    of no device.
    """

    epoch: int
    after: str
    reason: str


class PublicEvent(NamedTuple):
    """A decoded event; ``data`` has the fields of the class that belongs to its ``type``."""

    id: int
    source: str
    type: str
    subject: str
    time: str
    data: dict[str, Any]
