"""The banks, their customers, the customers' devices and the merchants, all from one seed.

A customer is made when first asked for, from the seed and the customer's number alone, so that a
population of any size costs nothing until it acts. Addresses are of the ranges kept for
documentation and benchmarks (RFC 5737, RFC 2544, RFC 3849): no real household has one.
"""

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Final
from uuid import UUID

from device_ledger.simulation.clients import Client, some_client

_WORDS = (
    *("amber", "anchor", "apple", "autumn", "basil", "beacon", "birch", "bridge", "bronze"),
    *("canyon", "cedar", "cherry", "clover", "comet", "copper", "coral", "cotton", "crane"),
    *("delta", "falcon", "fern", "field", "fjord", "forest", "garden", "ginger", "glacier"),
    *("harbor", "hazel", "heron", "indigo", "island", "jasper", "juniper", "lagoon", "lantern"),
    *("laurel", "lemon", "lilac", "linden", "lotus", "maple", "marble", "meadow", "mint", "oak"),
    *("ocean", "olive", "opal", "orchid", "otter", "pearl", "pepper", "pine", "plum", "quartz"),
)
_NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Ida", "Jon", "Kim", "Lea", "Mia")


@dataclass(frozen=True, slots=True)
class Place:
    """A city in degrees, its network, its distance to UTC; AS numbers are those of RFC 5398."""

    country: str
    region: str
    city: str
    asn: int
    utc_offset: timedelta
    subnet: int
    latitude: float
    longitude: float


PLACES: Final = tuple(
    Place(country, region, city, asn, timedelta(hours=offset), subnet, latitude, longitude)
    for subnet, (country, region, city, asn, offset, latitude, longitude) in enumerate(
        (
            ("US", "Iowa", "Des Moines", 64496, -6, 41.59, -93.62),
            ("US", "Missouri", "Springfield", 64497, -6, 37.21, -93.29),
            ("US", "Texas", "Austin", 64498, -6, 30.27, -97.74),
            ("US", "New York", "Buffalo", 64499, -5, 42.89, -78.88),
            ("US", "Oregon", "Portland", 64500, -8, 45.52, -122.68),
            ("US", "Florida", "Tampa", 64501, -5, 27.95, -82.46),
            ("NO", "Oslo County", "Oslo", 64502, 1, 59.91, 10.75),
            ("NO", "Vestland", "Bergen", 64503, 1, 60.39, 5.32),
            ("DE", "Land Berlin", "Berlin", 64504, 1, 52.52, 13.41),
            ("GB", "England", "Leeds", 64505, 0, 53.80, -1.55),
        )
    )
)
ATTACKERS: Final = Place("RO", "Bucuresti", "Bucharest", 64511, timedelta(hours=2), 0, 44.43, 26.10)


@dataclass(slots=True)
class Device:
    """A device and what its owner's bank has told of it so far."""

    device_id: str
    client: Client
    name: str | None
    linked: bool = False
    known: bool = False


@dataclass(slots=True)
class Customer:
    """A customer of a bank: a phrase, a place and some devices, in the order of their use."""

    bank_id: str
    customer_id: str
    phrase: str
    place: Place
    address: str
    devices: list[Device] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Population:
    """Banks with ``customers`` customers in all, shared out in turn, and merchants."""

    seed: int
    banks: int
    customers: int
    merchants: int
    devices_max: int = 4

    def bank_id(self, number: int) -> str:
        """The ID of a bank, from 0."""
        return f"bank-{number + 1:02d}"

    def merchant_id(self, number: int) -> str:
        """The ID of a merchant, from 0."""
        return f"merchant-{number + 1:03d}"

    def customer(self, number: int) -> Customer:
        """A customer, from 0, with all devices that the customer will ever use."""
        random = Random(f"{self.seed}/{number}")  # noqa: S311
        bank, index = number % self.banks, number // self.banks
        place = random.choice(PLACES)
        count = random.choices(range(1, self.devices_max + 1), (50, 30, 14, 6)[: self.devices_max])
        return Customer(
            bank_id=self.bank_id(bank),
            # Every second bank names its customers by UUIDs.
            customer_id=str(_uuid(random)) if bank % 2 else f"C-{self.seed}-{index:08d}",
            phrase=_phrase(random, index),
            place=place,
            address=address_in(random, place),
            devices=[some_device(random) for _ in range(count[0])],
        )


def some_device(random: Random) -> Device:
    """A device that nobody has seen yet."""
    client = some_client(random)
    name = None
    if random.random() < 0.3:
        noun = "phone" if client.device_type == "mobile" else client.device_type
        name = f"{random.choice(_NAMES)}'s {noun}"
    return Device(_device_id(random, client), client, name)


def attacker(random: Random) -> tuple[Place, str]:
    """Where an attack comes from."""
    return ATTACKERS, f"203.0.113.{random.randrange(1, 255)}"


def travel(random: Random) -> tuple[Place, str]:
    """Another place that a customer may log in from."""
    place = random.choice(PLACES)
    return place, address_in(random, place)


def address_in(random: Random, place: Place) -> str:
    """An address of a household there, of one of the networks of ``networks_of``."""
    low, high = random.randrange(1, 255), random.randrange(20)
    if random.random() < 0.25:
        return f"2001:db8:{place.subnet:x}:{random.randrange(1, 0x10000):x}::{low:x}"
    return f"198.{18 + place.subnet % 2}.{place.subnet * 20 + high}.{low}"


def _phrase(random: Random, index: int) -> str:
    # The number makes it one customer's own: two customers of a bank never share a phrase.
    return f"{random.choice(_WORDS)} {random.choice(_WORDS)} {index}"


def _device_id(random: Random, client: Client) -> str:
    if client.system.startswith("iOS"):
        return str(_uuid(random)).upper()
    if client.system.startswith("Android"):
        return f"{random.getrandbits(64):016x}"
    return urlsafe_b64encode(random.getrandbits(256).to_bytes(32)).decode()


def _uuid(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128), version=4)
