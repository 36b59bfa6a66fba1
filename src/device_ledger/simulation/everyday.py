"""Ordinary life, as attacks are hidden in it: over days or months, at the pace of real people.

Unlike ``traffic``, whose calls exercise every rule of the ledger, people here log in where they
are: at home, or on a journey that takes its time; they get a new device now and then, hardly ever
unlink one, and merchants look up devices that are there, with few mistakes.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import asin, cos, radians, sin, sqrt
from random import Random
from typing import Final, NamedTuple

from device_ledger.simulation import acts
from device_ledger.simulation.acts import Act, Login, Scene, timestamp
from device_ledger.simulation.population import (
    PLACES,
    Customer,
    Device,
    Place,
    Population,
    address_in,
)
from device_ledger.simulation.rhythm import activity, moments
from device_ledger.simulation.traffic import COMMANDS, LOOKUP, Call

_MIX: Final[dict[Callable[[Scene], Act | None], int]] = {
    acts.link_new_device: 300,
    acts.link_again: 60,
    acts.link_once_more: 30,
    acts.unlink: 25,
    acts.deactivate: 10,
    acts.link_a_strangers_device: 15,
    acts.link_under_a_strangers_phrase: 10,
    acts.link_under_a_second_phrase: 10,
    acts.unlink_under_a_wrong_phrase: 5,
}
_OF: Final = 10_000
"""What is done but for logins, and how often of so many times."""

_RECENT_DEVICES_MAX: Final = 10_000
_UNKNOWN_DEVICES: Final = 0.01
_BUSIER: Final = 1.15
_JOURNEYS_A_DAY: Final = 0.004
_KM_PER_HOUR: Final = 500
_WAITING: Final = timedelta(hours=3)
_EARTH_RADIUS_KM: Final = 6371.0


Where = tuple[Place, str]
"""A place, and an address there."""


class Phase(NamedTuple):
    """``commands`` over ``days`` from ``start``, by the first ``customers`` of the population."""

    start: datetime
    days: int
    commands: int
    customers: int


@dataclass(frozen=True, slots=True)
class _Journey:
    away: datetime
    there: datetime
    back: datetime
    home: datetime
    place: Place
    address: str


class Everyday:
    """The calls of ordinary people; make a new one to get the same calls again.

    Without ``journeys`` all stay at home: for calls that are made faster than people travel.
    """

    def __init__(
        self, population: Population, phases: Sequence[Phase], *, journeys: bool = True
    ) -> None:
        self._population = population
        self._phases = phases
        self._are_travelling = journeys
        self._random = Random(f"{population.seed}/everyday")  # noqa: S311
        self._customers: dict[int, Customer] = {}
        self._journeys: dict[int, list[_Journey]] = {}
        self._others: dict[str, Customer] = {}
        self._linked: deque[str] = deque(maxlen=_RECENT_DEVICES_MAX)
        self._acts, self._weights = tuple(_MIX), tuple(_MIX.values())

    def calls(self, lookup_share: float) -> Iterator[Call]:
        """All calls in order of time, with ``lookup_share`` lookups for each command."""
        done, looked_up = 0, 0
        for phase in self._phases:
            for at in moments(self._random, phase.start, phase.days, phase.commands):
                done += 1
                yield self._command(phase, at)
                while looked_up < int(done * lookup_share):
                    looked_up += 1
                    yield self._lookup(at)

    def _command(self, phase: Phase, at: datetime) -> Call:
        customer, journey = self._somebody(phase, at)
        other = self._others.get(customer.bank_id, customer)
        self._others[customer.bank_id] = customer
        scene = Scene(self._random, at, customer, other)
        act = self._act(scene) or self._log_in(scene, journey)
        if act.verb in ("link", "login-seen") and any(one.linked for one in customer.devices):
            self._linked.append(act.body["deviceId"])
        return Call(0, at, act.bank_id, COMMANDS + act.verb, act.body, act.login)

    def _act(self, scene: Scene) -> Act | None:
        if not scene.customer.devices[0].known:
            return acts.link_new_device(scene)
        if self._random.random() * _OF < sum(self._weights):
            [do] = self._random.choices(self._acts, self._weights)
            return do(scene)
        return None

    def _log_in(self, scene: Scene, journey: _Journey | None) -> Act:
        customer, random = scene.customer, scene.random
        used = [device for device in customer.devices if device.known]
        where = (customer.place, customer.address)
        if journey is not None:
            where = (journey.place, journey.address)
        return log_in(customer, random.choice(used), scene.at, where, random)

    def _somebody(self, phase: Phase, at: datetime) -> tuple[Customer, _Journey | None]:
        """A customer who may well be awake, and is not under way."""
        while True:
            number = int(phase.customers * self._random.random() ** _BUSIER)
            customer = self._customers.get(number)
            if customer is None:
                customer = self._customers[number] = self._population.customer(number)
            if self._random.random() >= activity(at + customer.place.utc_offset):
                continue
            journey = self._journey(number, customer, at)
            if journey is None or journey.there <= at < journey.back:
                return customer, journey

    def _journey(self, number: int, customer: Customer, at: datetime) -> _Journey | None:
        if not self._are_travelling:
            return None
        known = self._journeys.get(number)
        if known is None:
            known = self._journeys[number] = list(self._planned(number, customer))
        return next((one for one in known if one.away <= at < one.home), None)

    def _planned(self, number: int, customer: Customer) -> Iterator[_Journey]:
        random = Random(f"{self._population.seed}/{number}/journeys")  # noqa: S311
        start = self._phases[0].start
        end = self._phases[-1].start + timedelta(days=self._phases[-1].days)
        away = start + timedelta(days=random.expovariate(_JOURNEYS_A_DAY))
        while away < end:
            place = random.choice(PLACES)
            hours = distance_km(customer.place, place) / _KM_PER_HOUR
            under_way = _WAITING + timedelta(hours=hours)
            there = away + under_way
            back = there + timedelta(days=random.uniform(0.5, 10))
            home = back + under_way
            yield _Journey(away, there, back, home, place, address_in(random, place))
            away = home + timedelta(days=1 + random.expovariate(_JOURNEYS_A_DAY))

    def _lookup(self, at: datetime) -> Call:
        merchant = self._population.merchant_id(self._random.randrange(self._population.merchants))
        if not self._linked or self._random.random() < _UNKNOWN_DEVICES:
            device_id = f"{self._random.getrandbits(64):016x}"
        else:
            device_id = self._random.choice(self._linked)
        return Call(0, at, merchant, LOOKUP, {"deviceId": device_id})


def log_in(
    customer: Customer,
    device: Device,
    at: datetime,
    where: Where,
    random: Random,
) -> Act:
    """A login there and then; the bank tells of it at once."""
    body = {
        "customerId": customer.customer_id,
        "deviceId": device.device_id,
        "seenAt": timestamp(at),
        "ipAddress": where[1],
        "userAgent": device.client.user_agent,
    }
    if device.name is not None:
        body["deviceName"] = device.name
    device.known = True
    login = Login(where[0], device.client, int(random.triangular(40, 2000, 300)), is_attack=False)
    return Act(customer.bank_id, "login-seen", body, login)


def distance_km(one: Place, other: Place) -> float:
    """The great circle between two places."""
    lat, lat0 = radians(one.latitude), radians(other.latitude)
    across = sin(radians(one.longitude - other.longitude) / 2) ** 2
    return (
        2
        * _EARTH_RADIUS_KM
        * asin(sqrt(sin((lat - lat0) / 2) ** 2 + cos(lat) * cos(lat0) * across))
    )
