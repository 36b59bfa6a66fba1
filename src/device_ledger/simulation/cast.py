"""Who plays a scene, and what they do in it: one line a call."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from device_ledger.simulation.everyday import Where, log_in
from device_ledger.simulation.population import (
    ATTACKERS,
    Customer,
    Device,
    Population,
    some_device,
)
from device_ledger.simulation.scribe import Check
from device_ledger.simulation.traffic import COMMANDS, LOOKUP, Call

Calls = list[Call | Check]


@dataclass(slots=True)
class Script:
    """The calls of a scene, and before them what is needed for it; both in order of time."""

    calls: Calls
    before: Calls


class Cast:
    """Customers whom nobody else plays, by turns of every bank, and devices of the scene's own."""

    def __init__(self, population: Population, first: int, seed: str) -> None:
        self.population = population
        self.random = Random(f"{population.seed}/{seed}")  # noqa: S311
        self._next = first

    def customer(self) -> Customer:
        """A customer who has done nothing so far."""
        self._next += 1
        return self.population.customer(self._next)

    def customers(self, count: int) -> list[Customer]:
        """So many of them."""
        return [self.customer() for _ in range(count)]

    def device(self) -> Device:
        """A device that nobody has seen yet."""
        return some_device(self.random)

    def merchants(self, count: int) -> list[str]:
        """So many merchants, all different as far as there are so many."""
        numbers = range(self.population.merchants)
        chosen = self.random.sample(numbers, min(count, len(numbers)))
        return [self.population.merchant_id(number) for number in chosen]

    def login(
        self,
        customer: Customer,
        device: Device,
        at: datetime,
        where: Where | None = None,
    ) -> Call:
        """A login, at home where nothing else is said."""
        act = log_in(customer, device, at, where or (customer.place, customer.address), self.random)
        return Call(0, at, act.bank_id, COMMANDS + act.verb, act.body, act.login)

    def settled(self, customer: Customer, at: datetime) -> Calls:
        """The customer's first device is linked, and used for the first time."""
        device = customer.devices[0]
        return [link(customer, device, at), self.login(customer, device, at + timedelta(minutes=2))]


def link(customer: Customer, device: Device, at: datetime, credential: str | None = None) -> Call:
    """A device is linked to a customer."""
    device.known = True
    return _pairing("link", customer, device, at, credential)


def unlink(customer: Customer, device: Device, at: datetime, credential: str | None = None) -> Call:
    """A device is unlinked from a customer."""
    return _pairing("unlink", customer, device, at, credential)


def lookup(merchant_id: str, device_id: str, at: datetime) -> Call:
    """A merchant looks a device up."""
    return Call(0, at, merchant_id, LOOKUP, {"deviceId": device_id})


def abroad(random: Random) -> Where:
    """Where attackers are, and an address of theirs."""
    return ATTACKERS, f"203.0.113.{random.randrange(1, 255)}"


def every(step: timedelta, start: datetime, count: int) -> Iterable[datetime]:
    """So many moments, so far from each other."""
    return (start + step * number for number in range(count))


def _pairing(
    verb: str, customer: Customer, device: Device, at: datetime, credential: str | None
) -> Call:
    body = {
        "customerId": customer.customer_id,
        "phrase": customer.phrase,
        "deviceId": device.device_id,
    }
    return Call(0, at, customer.bank_id, COMMANDS + verb, body, credential=credential)
