"""The calls that a population makes over some days, the same for the same seed.

Most are logins; devices are linked at first use, now and then unlinked, linked again or
deactivated. Some commands come twice, and some the ledger must refuse.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Final

from device_ledger.simulation.acts import MIX, Act, Login, Scene, link_new_device, log_in
from device_ledger.simulation.population import Customer, Population
from device_ledger.simulation.rhythm import activity, moments

COMMANDS: Final = "/v1/bank/customer/device/"
LOOKUP: Final = "/v1/customer/device/lookup"
_RECENT_DEVICES_MAX = 10_000
_UNKNOWN_DEVICES = 0.05
_REPEATS = 0.03
_LINKED_FIRST = 0.7


@dataclass(frozen=True, slots=True)
class Call:
    """A command of a bank, or a merchant's lookup; ``number`` counts from 1.

    ``credential`` is the subject of the caller's token where it is none of the usual ones.
    """

    number: int
    at: datetime
    caller: str
    path: str
    body: dict[str, Any]
    login: Login | None = None
    credential: str | None = None

    @property
    def verb(self) -> str:
        """The last word of the path: ``link``, ``login-seen``, ``lookup`` and so on."""
        return self.path.rpartition("/")[2]


class Traffic:
    """The calls of a population; make a new one to get the same calls again."""

    def __init__(self, population: Population, start: datetime, days: int) -> None:
        self._population = population
        self._start = start
        self._days = days
        self._random = Random(f"{population.seed}/traffic")  # noqa: S311
        self._customers: dict[int, Customer] = {}
        self._last: dict[str, tuple[Customer, Act]] = {}
        self._recent: deque[str] = deque(maxlen=_RECENT_DEVICES_MAX)

    def calls(self, commands: int, lookup_share: float = 0.0) -> Iterator[Call]:
        """``commands`` commands in order of time, and ``lookup_share`` lookups for each."""
        number, looked_up = 0, 0
        for done, at in enumerate(moments(self._random, self._start, self._days, commands), 1):
            number += 1
            act = self._act(at)
            yield Call(number, at, act.bank_id, COMMANDS + act.verb, act.body, act.login)
            self._recent.append(act.body["deviceId"])
            while looked_up < int(done * lookup_share):
                number += 1
                looked_up += 1
                yield self._lookup(number, at)

    def _act(self, at: datetime) -> Act:
        customer = self._somebody(at)
        other, last = self._last.get(customer.bank_id, (customer, None))
        if last is not None and self._random.random() < _REPEATS:
            return last
        scene = Scene(self._random, at, customer, other)
        [do] = self._random.choices(tuple(MIX), tuple(MIX.values()))
        if not customer.devices[0].known and self._random.random() < _LINKED_FIRST:
            do = link_new_device
        act = do(scene) or log_in(scene)
        self._last[customer.bank_id] = (customer, act)
        return act

    def _somebody(self, at: datetime) -> Customer:
        """A customer who may well be awake; some are far more active than others."""
        while True:
            number = int(self._population.customers * self._random.random() ** 2)
            customer = self._customers.get(number) or self._population.customer(number)
            if self._random.random() < activity(at + customer.place.utc_offset):
                self._customers[number] = customer
                return customer

    def _lookup(self, number: int, at: datetime) -> Call:
        merchant = self._population.merchant_id(self._random.randrange(self._population.merchants))
        device_id = self._random.choice(self._recent)
        if self._random.random() < _UNKNOWN_DEVICES:
            device_id = f"{self._random.getrandbits(64):016x}"
        return Call(number, at, merchant, LOOKUP, {"deviceId": device_id})
