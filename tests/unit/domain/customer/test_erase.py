"""Erase a customer."""

import pytest

from device_ledger.domain.customer.command import Command, Device
from device_ledger.domain.errors import KeyGivenUpError, NoSuchCustomerError
from tests.samples.commands import ANNA, BERT, PHONE, TABLET, erase, link, login
from tests.samples.deciding import (
    LINKED_PHONE,
    deactivated,
    decide,
    device_free,
    device_taken,
    erased,
    erasure_ordered,
    facts,
    linked,
    phrase_free,
    phrase_taken,
    registered,
    unlinked,
)

LAPTOP = Device("token-of-laptop", "sealed-laptop", 1, "aaaaaaaa-0000-4000-8000-000000000003")
ERASED = (*LINKED_PHONE, unlinked(), device_free(), phrase_free(), deactivated(), erased())
ERASED_ONCE = (*ERASED, erasure_ordered(1))
PHONE_AGAIN = Device(PHONE.token, "sealed-anew", 2, "aaaaaaaa-0000-4000-8000-000000000004")


def test_links_registrations_and_ended_registrations_go_and_claims_are_free() -> None:
    given = [
        *LINKED_PHONE,
        registered(LAPTOP),
        deactivated(LAPTOP),
        registered(TABLET),
        linked(TABLET),
        device_taken(TABLET),
    ]
    assert decide(given, erase()) == facts(
        unlinked(),
        device_free(),
        unlinked(TABLET),
        device_free(TABLET),
        phrase_free(),
        deactivated(),
        deactivated(TABLET),
        erased(),
        erased(LAPTOP),
        erased(TABLET),
        erasure_ordered(3),
    )


def test_keys_are_given_up_also_of_a_customer_without_any_device() -> None:
    assert decide([], erase(key_generation=1)) == facts(erasure_ordered(0))


def test_what_the_vault_has_lost_is_given_up_as_well() -> None:
    assert decide([registered()], erase(key_generation=0)) == facts(
        deactivated(), erased(), erasure_ordered(1)
    )


def test_erasing_again_writes_nothing() -> None:
    assert decide(ERASED_ONCE, erase()) == []


def test_a_key_made_since_the_erasure_is_given_up_by_another() -> None:
    assert decide(ERASED_ONCE, erase(key_generation=2)) == facts(
        erasure_ordered(0, key_generation=2)
    )


def test_a_customer_whom_nobody_knows_is_refused() -> None:
    with pytest.raises(NoSuchCustomerError):
        decide(LINKED_PHONE, erase(BERT, key_generation=0))


@pytest.mark.parametrize("late", [link(), login()], ids=["link", "login-seen"])
def test_what_was_sealed_before_the_erasure_is_not_written_after_it(late: Command) -> None:
    with pytest.raises(KeyGivenUpError) as caught:
        decide(ERASED_ONCE, late)
    assert caught.value.generation == 1


def test_a_customer_who_comes_back_starts_anew_under_the_next_key() -> None:
    assert decide(ERASED_ONCE, link(device=PHONE_AGAIN, phrase="green")) == facts(
        registered(PHONE_AGAIN),
        linked(PHONE_AGAIN, "green"),
        device_taken(),
        phrase_taken("green"),
    )


def test_an_erased_device_and_phrase_may_be_linked_by_another_customer() -> None:
    assert decide(ERASED_ONCE, link(BERT)) == facts(
        registered(customer=BERT),
        linked(customer=BERT),
        device_taken(customer=BERT),
        phrase_taken(customer=BERT),
    )


def test_an_erasure_takes_only_what_is_the_customers() -> None:
    given = [*LINKED_PHONE, registered(TABLET, customer=BERT)]
    assert decide(given, erase(ANNA)) == facts(
        unlinked(), device_free(), phrase_free(), deactivated(), erased(), erasure_ordered(1)
    )
