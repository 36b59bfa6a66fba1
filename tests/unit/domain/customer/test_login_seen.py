"""See a login."""

from typing import Any

import pytest

from device_ledger.domain.errors import TooManyDevicesError
from tests.samples.commands import EARLIER, IPHONE, LATER, NOW, PHONE, another_device, login
from tests.samples.deciding import LINKED_PHONE, deactivated, decide, facts, registered, seen


def test_the_first_login_registers_the_device_and_links_nothing() -> None:
    assert decide([], login(info=IPHONE)) == facts(registered(), seen(info=IPHONE))


def test_a_newer_login_tells_all_that_it_told() -> None:
    given = [registered(), seen(name_token="old", sealed_name="sealed-old")]
    told: dict[str, Any] = {"name_token": "new", "sealed_name": "sealed-new"}
    assert decide(given, login(seen_at=LATER, **told)) == facts(seen(at=LATER, **told))


def test_a_newer_login_with_nothing_new_is_noted_still() -> None:
    assert decide([registered(), seen()], login(seen_at=LATER)) == facts(seen(at=LATER))


def test_the_same_login_again_writes_nothing() -> None:
    given = [registered(), seen(info=IPHONE, device_type="Mobile")]
    assert decide(given, login(info=IPHONE, device_type="Mobile")) == []


def test_a_late_login_tells_only_what_was_not_known() -> None:
    given = [registered(), seen(name_token="phone", sealed_name="sealed-phone")]
    late = login(
        seen_at=EARLIER,
        name_token="older",
        sealed_name="sealed-older",
        address_token="address",
        sealed_address="sealed-address",
    )
    assert decide(given, late) == facts(
        seen(at=EARLIER, address_token="address", sealed_address="sealed-address")
    )


def test_a_login_tells_where_it_was() -> None:
    told: dict[str, Any] = {
        "address_token": "address",
        "sealed_address": "sealed-address",
        "country": "NO",
        "cell": "+59.75+010.75",
    }
    assert decide([registered(), seen()], login(seen_at=LATER, **told)) == facts(
        seen(at=LATER, **told)
    )


def test_where_a_late_login_was_is_nothing_new_where_its_address_is_none() -> None:
    given = [registered(), seen(address_token="address", sealed_address="sealed-address")]
    late = login(seen_at=EARLIER, address_token="older", country="NO", cell="+59.75+010.75")
    assert decide(given, late) == []


def test_a_late_login_with_nothing_unknown_writes_nothing() -> None:
    given = [registered(), seen(info=IPHONE)]
    assert decide(given, login(seen_at=EARLIER, info={"model": "other"})) == []


def test_a_login_brings_an_ended_registration_back() -> None:
    given = [registered(), seen(at=EARLIER), deactivated(at=EARLIER)]
    assert decide(given, login()) == facts(registered(), seen())


def test_a_late_login_brings_it_back_too() -> None:
    given = [registered(), seen(at=NOW), deactivated()]
    assert decide(given, login(seen_at=EARLIER)) == facts(registered(), seen(at=EARLIER))


def test_a_linked_device_that_was_never_seen_is_seen_without_registering() -> None:
    assert decide(LINKED_PHONE, login()) == facts(seen())


def test_one_device_more_than_the_limit_is_refused() -> None:
    given = [registered(another_device()) for _ in range(3)]
    with pytest.raises(TooManyDevicesError):
        decide(given, login(device=PHONE))
