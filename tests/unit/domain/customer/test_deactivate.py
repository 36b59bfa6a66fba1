"""Deactivate devices."""

import pytest

from device_ledger.domain.customer.deactivate import DeactivateDevice
from device_ledger.domain.customer.events import DeviceErased
from device_ledger.domain.customer.state import ENDED_KEPT
from device_ledger.domain.errors import NoSuchDeviceError
from tests.samples.commands import (
    ANNA,
    BERT,
    LATER,
    PHONE,
    TABLET,
    another_device,
    context,
    deactivate,
    deactivate_all,
)
from tests.samples.deciding import (
    LINKED_PHONE,
    deactivated,
    decide,
    device_free,
    device_taken,
    facts,
    linked,
    phrase_free,
    registered,
    unlinked,
)


def test_deactivating_a_linked_device_ends_link_and_registration_in_one_step() -> None:
    assert decide(LINKED_PHONE, deactivate()) == facts(
        unlinked(), device_free(), phrase_free(), deactivated()
    )


def test_deactivating_a_registered_device_ends_the_registration() -> None:
    assert decide([registered()], deactivate()) == facts(deactivated())


def test_deactivating_again_writes_nothing() -> None:
    assert decide([registered(), deactivated()], deactivate()) == []


def test_a_device_that_the_customer_never_had_is_refused() -> None:
    with pytest.raises(NoSuchDeviceError):
        decide([registered()], deactivate(device=TABLET))


def test_a_device_of_another_customer_is_refused() -> None:
    with pytest.raises(NoSuchDeviceError):
        decide(LINKED_PHONE, deactivate(BERT))


def test_a_registration_is_found_by_its_id() -> None:
    by_id = DeactivateDevice(
        customer=ANNA, context=context(LATER), registration_id=PHONE.new_registration_id
    )
    assert decide([registered()], by_id) == facts(deactivated())


def test_a_registration_that_is_not_there_writes_nothing() -> None:
    by_id = DeactivateDevice(
        customer=ANNA, context=context(LATER), registration_id=TABLET.new_registration_id
    )
    assert decide([registered()], by_id) == []


def test_deactivating_all_ends_every_link_and_registration() -> None:
    given = [*LINKED_PHONE, registered(TABLET), linked(TABLET), device_taken(TABLET)]
    assert decide(given, deactivate_all()) == facts(
        unlinked(),
        device_free(),
        unlinked(TABLET),
        device_free(TABLET),
        phrase_free(),
        deactivated(),
        deactivated(TABLET),
    )


def test_deactivating_all_of_nothing_writes_nothing() -> None:
    assert decide([], deactivate_all()) == []


def test_of_ended_registrations_only_the_newest_are_kept() -> None:
    ended = [another_device() for _ in range(ENDED_KEPT)]
    given = [registered()]
    for minute, device in enumerate(ended):
        at = f"2026-01-01T{minute // 60:02}:{minute % 60:02}:00.000Z"
        given += [registered(device), deactivated(device, at)]  # type: ignore[list-item]
    oldest = DeviceErased(ended[0].token, ended[0].new_registration_id, "retention")
    assert decide(given, deactivate()) == [*facts(deactivated()), oldest]
