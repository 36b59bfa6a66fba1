"""Unlink a device."""

import pytest

from device_ledger.domain.errors import NotLinkedError
from tests.samples.commands import BERT, CARL_OF_BANK_B, TABLET, unlink
from tests.samples.deciding import (
    LINKED_PHONE,
    decide,
    device_free,
    device_taken,
    facts,
    linked,
    phrase_free,
    registered,
    unlinked,
)


def test_unlinking_the_last_device_frees_device_and_phrase() -> None:
    assert decide(LINKED_PHONE, unlink()) == facts(unlinked(), device_free(), phrase_free())


def test_unlinking_one_of_two_keeps_the_phrase() -> None:
    given = [*LINKED_PHONE, registered(TABLET), linked(TABLET), device_taken(TABLET)]
    assert decide(given, unlink()) == facts(unlinked(), device_free())


@pytest.mark.parametrize(
    "command",
    [
        unlink(phrase="green"),
        unlink(device=TABLET),
        unlink(BERT),
        unlink(CARL_OF_BANK_B),
    ],
)
def test_what_does_not_match_the_whole_link_is_refused(command: object) -> None:
    with pytest.raises(NotLinkedError):
        decide(LINKED_PHONE, command)  # type: ignore[arg-type]


def test_a_device_that_is_registered_only_is_not_linked() -> None:
    with pytest.raises(NotLinkedError):
        decide([registered()], unlink())


def test_unlinking_twice_is_refused_the_second_time() -> None:
    given = [*LINKED_PHONE, unlinked(), device_free(), phrase_free()]
    with pytest.raises(NotLinkedError):
        decide(given, unlink())
