"""Link a device."""

import pytest

from device_ledger.domain.errors import (
    DeviceTakenError,
    OtherPhraseError,
    PhraseTakenError,
    RefusedError,
    TooManyDevicesError,
)
from tests.samples.commands import (
    ANNA,
    BERT,
    CARL_OF_BANK_B,
    IPHONE,
    LATER,
    PHONE,
    TABLET,
    another_device,
    link,
)
from tests.samples.deciding import (
    LINKED_PHONE,
    Given,
    deactivated,
    decide,
    device_free,
    device_taken,
    facts,
    linked,
    phrase_free,
    phrase_taken,
    registered,
    seen,
    unlinked,
)


def test_linking_a_new_device_registers_it_and_takes_device_and_phrase() -> None:
    assert decide([], link()) == facts(registered(), linked(), device_taken(), phrase_taken())


def test_linking_a_second_device_takes_only_the_device() -> None:
    assert decide(LINKED_PHONE, link(device=TABLET)) == facts(
        registered(TABLET), linked(TABLET), device_taken(TABLET)
    )


def test_linking_the_same_device_again_writes_nothing() -> None:
    assert decide(LINKED_PHONE, link(at=LATER)) == []


def test_linking_a_registered_device_keeps_its_registration_and_what_is_known_of_it() -> None:
    given = [registered(), seen(info=IPHONE)]
    [link_event, taken, _] = decide(given, link())
    assert link_event.info == IPHONE  # type: ignore[union-attr]
    assert taken == device_taken()[1]


def test_linking_brings_an_ended_registration_back_under_its_own_id() -> None:
    given = [registered(), deactivated()]
    [back, again, *_] = decide(given, link(at=LATER))
    assert [back, again] == facts(registered(at=LATER), linked(at=LATER))


def test_linking_a_device_that_was_freed_is_like_the_first_time() -> None:
    given = [*LINKED_PHONE, unlinked(), device_free(), phrase_free()]
    bert = decide(given, link(BERT, phrase="blue"))
    assert bert == facts(
        registered(customer=BERT),
        linked(customer=BERT),
        device_taken(customer=BERT),
        phrase_taken(customer=BERT),
    )


@pytest.mark.parametrize("other", [BERT, CARL_OF_BANK_B])
def test_a_device_of_another_customer_is_refused_at_every_bank(other: object) -> None:
    with pytest.raises(DeviceTakenError):
        decide(LINKED_PHONE, link(other, phrase="green"))  # type: ignore[arg-type]


def test_a_phrase_of_another_customer_of_the_bank_is_refused() -> None:
    with pytest.raises(PhraseTakenError):
        decide(LINKED_PHONE, link(BERT, TABLET))


def test_the_same_phrase_at_another_bank_is_nobody_elses() -> None:
    assert decide(LINKED_PHONE, link(CARL_OF_BANK_B, TABLET)) == facts(
        registered(TABLET, customer=CARL_OF_BANK_B),
        linked(TABLET, customer=CARL_OF_BANK_B),
        device_taken(TABLET, CARL_OF_BANK_B),
        phrase_taken(customer=CARL_OF_BANK_B),
    )


def test_a_linked_customer_can_not_take_another_phrase() -> None:
    with pytest.raises(OtherPhraseError):
        decide(LINKED_PHONE, link(device=TABLET, phrase="green"))


def test_after_the_last_unlink_another_phrase_is_fine() -> None:
    given = [*LINKED_PHONE, unlinked(), device_free(), phrase_free()]
    assert decide(given, link(phrase="green", at=LATER)) == facts(
        linked(phrase="green", at=LATER), device_taken(), phrase_taken("green")
    )


def test_one_device_more_than_the_limit_is_refused() -> None:
    given = [*LINKED_PHONE, registered(another_device()), registered(another_device())]
    with pytest.raises(TooManyDevicesError):
        decide(given, link(device=TABLET))


def test_an_ended_registration_makes_room() -> None:
    other = another_device()
    given = [*LINKED_PHONE, registered(another_device()), registered(other), deactivated(other)]
    assert decide(given, link(device=TABLET)) == facts(
        registered(TABLET), linked(TABLET), device_taken(TABLET)
    )


OWN_PHRASE_AND_FULL = [
    registered(TABLET, customer=BERT),
    linked(TABLET, "own", customer=BERT),
    registered(another_device(), customer=BERT),
    registered(another_device(), customer=BERT),
]


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ([*OWN_PHRASE_AND_FULL, phrase_taken("red", ANNA), device_taken()], DeviceTakenError),
        ([*OWN_PHRASE_AND_FULL, phrase_taken("red", ANNA)], PhraseTakenError),
        (OWN_PHRASE_AND_FULL, OtherPhraseError),
    ],
)
def test_refusals_come_in_the_promised_order(given: Given, refused: type[RefusedError]) -> None:
    with pytest.raises(refused):
        decide(given, link(BERT, PHONE, phrase="red"))
