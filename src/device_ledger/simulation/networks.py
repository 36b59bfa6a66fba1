"""Where the made-up networks lie, as an overlay for the geo data, which know none of them."""

from collections.abc import Iterator
from ipaddress import IPv4Address, summarize_address_range
from pathlib import Path

from device_ledger.geo import OVERLAY_COLUMNS
from device_ledger.simulation.population import ATTACKERS, PLACES, Place


def write_overlay(file: Path) -> None:
    """Write the file that ``DEVICE_LEDGER_GEO_OVERLAY_FILE`` is to name.

    Raises:
        OSError: it can't be written.
    """
    lines = [",".join(OVERLAY_COLUMNS)]
    for place in PLACES:
        lines += [_line(network, place) for network in _networks_of(place)]
    lines.append(_line("203.0.113.0/24", ATTACKERS))
    file.write_text("\n".join(lines) + "\n")


def _networks_of(place: Place) -> Iterator[str]:
    """The networks that ``population.address_in`` takes a place's addresses of."""
    block = f"198.{18 + place.subnet % 2}"
    first, last = place.subnet * 20, place.subnet * 20 + 19
    ends = IPv4Address(f"{block}.{first}.0"), IPv4Address(f"{block}.{last}.255")
    yield from (str(network) for network in summarize_address_range(*ends))
    yield f"2001:db8:{place.subnet:x}::/48"


def _line(network: str, place: Place) -> str:
    return f"{network},{place.country},{place.latitude},{place.longitude}"
