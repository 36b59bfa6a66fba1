"""What a customer, or someone who is not the customer, does to a bank at one moment.

An act changes what its bank has told of a device so far. ``None`` says that there is nothing to
do it to: no device left to link, none linked to unlink.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from device_ledger.simulation.clients import Client
from device_ledger.simulation.population import (
    Customer,
    Device,
    Place,
    attacker,
    some_device,
    travel,
)

_TAKEOVERS = 0.002
_TRAVELS = 0.06
_LATE = 0.03


@dataclass(frozen=True, slots=True)
class Login:
    """What only the simulation knows of a login, for the columns of the RBA data set."""

    place: Place
    client: Client
    round_trip_ms: int
    is_attack: bool


@dataclass(frozen=True, slots=True)
class Act:
    """A command that a customer's bank posts: its verb, as in the path, and its body."""

    bank_id: str
    verb: str
    body: dict[str, Any]
    login: Login | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """A customer at a moment, and another one of the same bank."""

    random: Random
    at: datetime
    customer: Customer
    other: Customer


def log_in(scene: Scene) -> Act:
    """Log in: mostly at home with a device used before, rarely someone else altogether."""
    random, customer = scene.random, scene.customer
    place, address, chance = customer.place, customer.address, random.random()
    is_attack = chance < _TAKEOVERS
    if is_attack:
        (place, address), device = attacker(random), some_device(random)
    else:
        used = [known for known in customer.devices if known.known]
        device = random.choice(used or customer.devices[:1])
        device.known = True
        if chance < _TAKEOVERS + _TRAVELS:
            place, address = travel(random)
    late = timedelta(minutes=random.randrange(1, 600) if random.random() < _LATE else 0)
    body = {
        "customerId": customer.customer_id,
        "deviceId": device.device_id,
        "seenAt": timestamp(scene.at - late),
        "ipAddress": address,
        "userAgent": device.client.user_agent,
    }
    if device.name is not None:
        body["deviceName"] = device.name
    login = Login(place, device.client, int(random.triangular(40, 2000, 300)), is_attack)
    return Act(customer.bank_id, "login-seen", body, login)


def link_new_device(scene: Scene) -> Act | None:
    """Link the first of the customer's devices that the bank does not know."""
    fresh = next((device for device in scene.customer.devices if not device.known), None)
    if fresh is None:
        return None
    fresh.known = fresh.linked = True
    return _pairing("link", scene.customer, fresh)


def link_again(scene: Scene) -> Act | None:
    """Link a device that was linked, or seen at a login, and is not linked now."""
    device = _some(scene, linked=False)
    if device is None:
        return None
    device.linked = True
    return _pairing("link", scene.customer, device)


def link_once_more(scene: Scene) -> Act | None:
    """Link what is linked: nothing changes."""
    device = _some(scene, linked=True)
    return None if device is None else _pairing("link", scene.customer, device)


def unlink(scene: Scene) -> Act | None:
    """Unlink a device."""
    device = _some(scene, linked=True)
    if device is None:
        return None
    device.linked = False
    return _pairing("unlink", scene.customer, device)


def unlink_under_a_wrong_phrase(scene: Scene) -> Act | None:
    """Unlink a device under a phrase that is not its customer's: refused."""
    device = _some(scene, linked=True)
    return _pairing("unlink", scene.customer, device, "no such phrase") if device else None


def deactivate(scene: Scene) -> Act | None:
    """End a device's registration; a later login brings it back."""
    device = _some(scene, linked=True)
    if device is None:
        return None
    device.linked = False
    body = {"customerId": scene.customer.customer_id, "deviceId": device.device_id}
    return Act(scene.customer.bank_id, "deactivate", body)


def link_a_strangers_device(scene: Scene) -> Act | None:
    """Link the other customer's device: refused, but for the customer who is the other."""
    taken = next((device for device in scene.other.devices if device.linked), None)
    return _pairing("link", scene.customer, taken) if taken else None


def link_under_a_strangers_phrase(scene: Scene) -> Act | None:
    """Link a device under the other customer's phrase: refused."""
    device = _some(scene, linked=True)
    return _pairing("link", scene.customer, device, scene.other.phrase) if device else None


def link_under_a_second_phrase(scene: Scene) -> Act | None:
    """Link a device under another phrase than the customer's own: refused."""
    device = _some(scene, linked=True)
    return (
        _pairing("link", scene.customer, device, f"{scene.customer.phrase} too") if device else None
    )


MIX: Final[dict[Callable[[Scene], Act | None], int]] = {
    log_in: 62,
    link_new_device: 14,
    link_again: 6,
    link_once_more: 4,
    unlink: 5,
    deactivate: 2,
    link_a_strangers_device: 3,
    link_under_a_strangers_phrase: 2,
    link_under_a_second_phrase: 1,
    unlink_under_a_wrong_phrase: 1,
}
"""What is done, and how often of a hundred times."""


def timestamp(at: datetime) -> str:
    """A moment in RFC 3339, in UTC with milliseconds."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _some(scene: Scene, *, linked: bool) -> Device | None:
    fitting = [known for known in scene.customer.devices if known.known and known.linked == linked]
    return scene.random.choice(fitting) if fitting else None


def _pairing(verb: str, customer: Customer, device: Device, phrase: str | None = None) -> Act:
    return Act(
        customer.bank_id,
        verb,
        {
            "customerId": customer.customer_id,
            "phrase": customer.phrase if phrase is None else phrase,
            "deviceId": device.device_id,
        },
    )
