"""Where an address is: the package's data, another file's, and an overlay of one's own networks."""

from ipaddress import ip_address
from pathlib import Path
from random import Random

import pytest

from device_ledger.geo import NOWHERE, Geo, GeoError, Location, cell_of, read_overlay
from device_ledger.settings import Settings
from device_ledger.simulation.networks import write_overlay
from device_ledger.simulation.population import PLACES, address_in, attacker

HEAD = "network,country,latitude,longitude\n"


class NoPlaces:
    """A MaxMind DB file that knows nothing, and no IPv6."""

    def get(self, address: object) -> None:
        if ip_address(str(address)).version == 6:
            raise ValueError("You attempted to look up an IPv6 address in an IPv4-only database.")


def overlay(folder: Path, *lines: str) -> Path:
    """A file of these lines below the head."""
    file = folder / "networks.csv"
    file.write_text(HEAD + "\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize(
    ("latitude", "longitude", "cell"),
    [
        (52.52, 13.41, "+52.75+013.25"),
        (-33.8688, 151.209, "-33.75+151.25"),
        (0.0, 0.0, "+00.25+000.25"),
        (-0.01, -0.01, "-00.25-000.25"),
        (90.0, 180.0, "+89.75+179.75"),
        (-90.0, -180.0, "-89.75-179.75"),
    ],
)
def test_a_cell_is_told_by_its_middle(latitude: float, longitude: float, cell: str) -> None:
    assert cell_of(latitude, longitude) == cell


def test_the_packages_data_know_public_addresses_and_no_private_ones() -> None:
    geo = Geo.open(Settings())
    assert geo.locate("1.1.1.1") == Location("AU", "-33.75+151.25")
    assert geo.locate("::ffff:1.1.1.1") == Location("AU", "-33.75+151.25")
    assert geo.locate("2a00:1450:400f::1") == Location("SE", "+59.25+018.25")
    for private in ("10.0.0.1", "192.168.1.1", "127.0.0.1", "fd00::1", "::1", "198.18.3.4"):
        assert geo.locate(private) == NOWHERE


def test_a_files_addresses_of_the_other_kind_are_nowhere() -> None:
    assert Geo(NoPlaces(), {}).locate("2001:db8::1") == NOWHERE


def test_the_narrowest_network_of_the_overlay_counts(tmp_path: Path) -> None:
    file = overlay(
        tmp_path,
        "10.0.0.0/8,DE,52.52,13.41",
        "10.7.0.0/16,NO,59.91,10.75",
        "1.1.1.0/24,GB,53.80,-1.55",
        "fd00:7::/32,SE,59.33,18.07",
    )
    geo = Geo.open(Settings(geo_overlay_file=file))
    assert geo.locate("10.7.1.1").country == "NO"
    assert geo.locate("10.8.1.1").country == "DE"
    assert geo.locate("::ffff:10.8.1.1").country == "DE"
    assert geo.locate("1.1.1.1") == Location("GB", "+53.75-001.75")
    assert geo.locate("fd00:7::1").country == "SE"
    assert geo.locate("fd00:8::1") == NOWHERE


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("10.0.0.0/8,Germany,52,13", "line 2: a country is two capital letters"),
        ("10.0.0.1/8,DE,52,13", "line 2: not network,country,latitude,longitude"),
        ("10.0.0.0/8,DE,52", "line 2: not network,country,latitude,longitude"),
        ("10.0.0.0/8,DE,north,13", "line 2: not network,country,latitude,longitude"),
        ("10.0.0.0/8,DE,91,13", "line 2: no such latitude"),
        ("10.0.0.0/8,DE,nan,13", "line 2: no such latitude"),
    ],
)
def test_a_wrong_line_of_the_overlay_is_named(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(GeoError, match=why):
        read_overlay(overlay(tmp_path, line))


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.mmdb"
    wrong.write_bytes(b"no such thing")
    for file in (wrong, tmp_path / "missing.mmdb"):
        with pytest.raises(GeoError, match=file.name):
            Geo.open(Settings(geo_file=file))
    with pytest.raises(GeoError, match=r"missing\.csv"):
        Geo.open(Settings(geo_overlay_file=tmp_path / "missing.csv"))


def test_the_simulations_overlay_knows_every_made_up_address(tmp_path: Path) -> None:
    file = tmp_path / "networks.csv"
    write_overlay(file)
    geo = Geo(NoPlaces(), read_overlay(file))
    random = Random(1)
    for place in PLACES:
        here = Location(place.country, cell_of(place.latitude, place.longitude))
        assert {geo.locate(address_in(random, place)) for _ in range(200)} == {here}
    assert geo.locate(attacker(random)[1]).country == "RO"
