"""What looks like an attack and is none: scenes of honest people that a rule may well find.

They are why a rule's precision is below 1. Each kind's docstring is what an analyst would write
when closing the alert; ``docs/benchmarks.md`` counts them.
"""

from datetime import datetime, timedelta
from typing import Final

from device_ledger.simulation.attacks import Kind
from device_ledger.simulation.cast import Cast, Script, every, link, lookup, unlink
from device_ledger.simulation.population import PLACES, address_in

_MINUTE: Final = timedelta(minutes=1)
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)


def demonstration(cast: Cast, at: datetime) -> Script:
    """A branch shows the app to customers on its own tablet, linked and unlinked each time."""
    tablet = cast.device()
    first = cast.customer()
    script = Script([], [])
    for customer, moment in zip(
        [first, *cast.customers(6)], every(20 * _MINUTE, at, 7), strict=True
    ):
        script.calls += [
            link(customer, tablet, moment),
            unlink(customer, tablet, moment + 10 * _MINUTE),
        ]
    return script


def roll_out(cast: Cast, at: datetime) -> Script:
    """A firm links the phones of its whole staff to its account in one go."""
    firm = cast.customer()
    calls = [link(firm, cast.device(), moment) for moment in every(45 * _SECOND, at, 12)]
    return Script([*calls], cast.settled(firm, at - _DAY))


def handed_on(cast: Cast, at: datetime) -> Script:
    """A phone is handed on within the family: unlinked by one, linked by another."""
    parent, child = cast.customers(2)
    phone = parent.devices[0]
    calls = [unlink(parent, phone, at), link(child, phone, at + 3 * 60 * _MINUTE)]
    return Script([*calls], cast.settled(parent, at - _DAY))


def sale(cast: Cast, at: datetime) -> Script:
    """A customer sets up a new phone and buys at many shops at once: a day of sales."""
    buyer, phone = cast.customer(), cast.device()
    shops = cast.merchants(20)
    asked = every(12 * _SECOND, at + 2 * _MINUTE, 40)
    lookups = [lookup(cast.random.choice(shops), phone.device_id, moment) for moment in asked]
    return Script([link(buyer, phone, at), *lookups], cast.settled(buyer, at - _DAY))


def private_network(cast: Cast, at: datetime) -> Script:
    """A customer switches a VPN on: the address is far away, the customer is at home."""
    customer = cast.customer()
    exit_place = next(place for place in PLACES if place.country != customer.place.country)
    where = (exit_place, address_in(cast.random, exit_place))
    device = customer.devices[0]
    calls = [
        cast.login(customer, device, at),
        cast.login(customer, device, at + 25 * _MINUTE, where),
    ]
    return Script([*calls], cast.settled(customer, at - _DAY))


def holiday_with_a_new_phone(cast: Cast, at: datetime) -> Script:
    """A customer of quiet habits buys a phone on a journey abroad, and logs in with it."""
    customer = cast.customer()
    device = customer.devices[0]
    abroad = next(place for place in PLACES if place.country != customer.place.country)
    habits = [cast.login(customer, device, at - days * _DAY) for days in range(57, 0, -4)]
    login = cast.login(customer, cast.device(), at, (abroad, address_in(cast.random, abroad)))
    return Script([login], [*cast.settled(customer, at - 59 * _DAY), *habits])


def old_tablet(cast: Cast, at: datetime) -> Script:
    """A customer finds the old tablet in a drawer, and logs in with it."""
    customer = cast.customer()
    tablet = customer.devices[0]
    began = at - 117 * _DAY
    habits = [cast.login(customer, tablet, moment) for moment in every(_DAY, began + _DAY, 3)]
    return Script([cast.login(customer, tablet, at)], [*cast.settled(customer, began), *habits])


def old_list(cast: Cast, at: datetime) -> Script:
    """A merchant looks a list up that is years old: most of its devices are gone."""
    [shop] = cast.merchants(1)
    moments = every(timedelta(milliseconds=400), at, 300)
    calls = [lookup(shop, f"{cast.random.getrandbits(64):016x}", moment) for moment in moments]
    return Script([*calls], [])


def closing_branch(cast: Cast, at: datetime) -> Script:
    """A branch closes; its clerk unlinks the devices of the customers who leave."""
    first = cast.customer()
    leaving = [first, *(one for one in cast.customers(240) if one.bank_id == first.bank_id)][:60]
    clerk = f"{first.bank_id}-clerk-{cast.random.randrange(100, 1000)}"
    before = [
        link(one, one.devices[0], moment)
        for one, moment in zip(leaving, every(_SECOND, at - _DAY, 60), strict=False)
    ]
    calls = [
        unlink(one, one.devices[0], moment, clerk)
        for one, moment in zip(leaving, every(8 * _SECOND, at, 60), strict=False)
    ]
    return Script([*calls], [*before])


def one_roof(cast: Cast, at: datetime) -> Script:
    """A firm's people come back from holidays: new phones of many, all behind one address."""
    people = cast.customers(30)
    where = (people[0].place, address_in(cast.random, people[0].place))
    calls = [
        cast.login(one, cast.device(), moment, where)
        for one, moment in zip(people, every(35 * _SECOND, at, 30), strict=True)
    ]
    return Script([*calls], [])


LOOKALIKES: Final = (
    Kind("demonstration", "device-farm", demonstration),
    Kind("roll-out", "device-burst", roll_out),
    Kind("handed-on", "device-moved", handed_on),
    Kind("sale", "new-device-lookup-surge", sale),
    Kind("private-network", "impossible-travel", private_network),
    Kind("holiday-with-a-new-phone", "first-seen", holiday_with_a_new_phone, days=60),
    Kind("old-tablet", "dormant-device", old_tablet, days=118),
    Kind("old-list", "merchant-enumeration", old_list),
    Kind("closing-branch", "mass-unlink", closing_branch),
    Kind("one-roof", "rotating-identifiers", one_roof),
)
