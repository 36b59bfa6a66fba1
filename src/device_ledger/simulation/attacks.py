"""The attacks, one kind a rule of ``rules/``: each is a scene with a cast of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from device_ledger.simulation.cast import Cast, Script, abroad, every, link, lookup, unlink
from device_ledger.simulation.scribe import Check

_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of scene.

    ``rule`` is the name of the rule that finds it, ``days`` how much history it needs before, and
    ``over_http`` says whether the calls of a bank and of merchants can play it in minutes.
    """

    name: str
    rule: str
    play: Callable[[Cast, datetime], Script]
    days: int = 1
    over_http: bool = True


def farm(cast: Cast, at: datetime) -> Script:
    """One device goes from customer to customer: linked, used, unlinked, the next."""
    device, where = cast.device(), abroad(cast.random)
    script = Script([], [])
    for customer, moment in zip(cast.customers(8), every(6 * _MINUTE, at, 8), strict=True):
        script.calls += [
            link(customer, device, moment),
            cast.login(customer, device, moment + _MINUTE, where),
            unlink(customer, device, moment + 4 * _MINUTE),
        ]
    return script


def burst(cast: Cast, at: datetime) -> Script:
    """Someone in a customer's account links device after device."""
    victim = cast.customer()
    calls = [link(victim, cast.device(), moment) for moment in every(40 * _SECOND, at, 10)]
    return Script([*calls], cast.settled(victim, at - _DAY))


def moved(cast: Cast, at: datetime) -> Script:
    """A device is unlinked from one customer and soon is another's."""
    victim, thief = cast.customers(2)
    device = victim.devices[0]
    calls = [unlink(victim, device, at), link(thief, device, at + 55 * _MINUTE)]
    return Script([*calls], cast.settled(victim, at - _DAY))


def linked_after_alert(cast: Cast, at: datetime) -> Script:
    """A burst at a customer is seen, and still there is one more link half an hour later."""
    script = burst(cast, at)
    last = script.calls[-1]
    assert not isinstance(last, Check)  # noqa: S101 - a burst is of calls
    again = cast.device()
    later = last.at + 30 * _MINUTE
    body = last.body | {"deviceId": again.device_id}
    script.calls.append(type(last)(0, later, last.caller, last.path, body))
    return script


def looked_up_all_over(cast: Cast, at: datetime) -> Script:
    """A device is new, and merchants ask for it at once: the customer's name is being spent."""
    victim, device = cast.customer(), cast.device()
    shops = cast.merchants(15)
    asked = every(7 * _SECOND, at + 2 * _MINUTE, 60)
    lookups = [lookup(cast.random.choice(shops), device.device_id, moment) for moment in asked]
    return Script(
        [link(victim, device, at), *lookups],
        cast.settled(victim, at - _DAY),
    )


def impossible_travel(cast: Cast, at: datetime) -> Script:
    """A login at home, and another from far away soon after."""
    victim = cast.customer()
    device, where = victim.devices[0], abroad(cast.random)
    calls = [
        cast.login(victim, device, at),
        cast.login(victim, device, at + 35 * _MINUTE, where),
    ]
    return Script([*calls], cast.settled(victim, at - _DAY))


def out_of_the_blue(cast: Cast, at: datetime) -> Script:
    """A customer of quiet habits logs in with a new device, from a country never seen before."""
    victim = cast.customer()
    device, where = victim.devices[0], abroad(cast.random)
    habits = [
        cast.login(victim, device, at - days * _DAY - cast.random.random() * 5 * 60 * _MINUTE)
        for days in range(57, 0, -4)
    ]
    stranger = cast.device()
    calls = [cast.login(victim, stranger, at, where)]
    return Script([*calls], [*cast.settled(victim, at - 59 * _DAY), *habits])


def stolen_session(cast: Cast, at: datetime) -> Script:
    """A customer's session is used abroad, on what looks like the customer's own device."""
    victim = cast.customer()
    device = victim.devices[0]
    began = at - 58 * _DAY
    habits = [cast.login(victim, device, moment) for moment in every(4 * _DAY, began + _DAY, 14)]
    login = cast.login(victim, device, at, abroad(cast.random))
    return Script([login], [*cast.settled(victim, began), *habits])


def dormant(cast: Cast, at: datetime) -> Script:
    """A device that was laid aside months ago is back."""
    victim = cast.customer()
    device = victim.devices[0]
    began = at - 115 * _DAY
    habits = [cast.login(victim, device, moment) for moment in every(_DAY, began + _DAY, 5)]
    return Script([cast.login(victim, device, at)], [*cast.settled(victim, began), *habits])


def enumeration(cast: Cast, at: datetime) -> Script:
    """A merchant tries device IDs, one after the other."""
    [shop] = cast.merchants(1)
    moments = every(timedelta(milliseconds=250), at, 400)
    return Script([lookup(shop, _guess(cast), moment) for moment in moments], [])


def thin_enumeration(cast: Cast, at: datetime) -> Script:
    """The same through many merchants, so that none tries often."""
    shops = cast.merchants(40)
    moments = every(timedelta(seconds=1.5), at, 400)
    calls = [
        lookup(shops[number % len(shops)], _guess(cast), moment)
        for number, moment in enumerate(moments)
    ]
    return Script([*calls], [])


def mass_unlink(cast: Cast, at: datetime) -> Script:
    """One credential of a bank unlinks customer after customer."""
    first = cast.customer()
    victims = [first, *(one for one in cast.customers(240) if one.bank_id == first.bank_id)][:80]
    credential = f"{first.bank_id}-branch-{cast.random.randrange(100, 1000)}"
    began = at - _DAY
    before = [
        link(one, one.devices[0], began + number * _SECOND) for number, one in enumerate(victims)
    ]
    moments = every(3 * _SECOND, at, len(victims))
    calls = [
        unlink(one, one.devices[0], moment, credential)
        for one, moment in zip(victims, moments, strict=True)
    ]
    return Script([*calls], [*before])


def rotating_identifiers(cast: Cast, at: datetime) -> Script:
    """From one address come logins of some customers, each time on a device never seen before."""
    victims = cast.customers(4)
    where = abroad(cast.random)
    calls = [
        cast.login(victims[number % 4], cast.device(), moment, where)
        for number, moment in enumerate(every(30 * _SECOND, at, 40))
    ]
    before = [call for one in victims for call in cast.settled(one, at - _DAY)]
    return Script([*calls], sorted(before, key=lambda call: call.at))


def tampering(_: Cast, at: datetime) -> Script:
    """A checkpoint does not extend the one before it."""
    return Script([Check(at, "not-an-extension")], [Check(at - 10 * _SECOND, None)])


ATTACKS: Final = (
    Kind("farm", "device-farm", farm),
    Kind("burst", "device-burst", burst),
    Kind("moved", "device-moved", moved),
    Kind("linked-after-alert", "link-after-alert", linked_after_alert),
    Kind("looked-up-all-over", "new-device-lookup-surge", looked_up_all_over),
    Kind("impossible-travel", "impossible-travel", impossible_travel),
    Kind("out-of-the-blue", "first-seen", out_of_the_blue, days=60, over_http=False),
    Kind("stolen-session", "first-seen-country", stolen_session, days=60, over_http=False),
    Kind("dormant", "dormant-device", dormant, days=116, over_http=False),
    Kind("enumeration", "merchant-enumeration", enumeration),
    Kind("thin-enumeration", "thin-enumeration", thin_enumeration),
    Kind("mass-unlink", "mass-unlink", mass_unlink),
    Kind("rotating-identifiers", "rotating-identifiers", rotating_identifiers),
    Kind("tampering", "tampering", tampering, over_http=False),
)


def _guess(cast: Cast) -> str:
    return f"{cast.random.getrandbits(64):016x}"
