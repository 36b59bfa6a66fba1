import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_ledger.vault.encoding import from_text, to_text
from device_ledger.vault.sealing import CannotOpenError, seal, unseal

KEY = bytes(range(32))
SEALED = seal(KEY, "deviceId", "bank-a", "user-1", "d-1")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_sealed_value_opens(value: str) -> None:
    assert unseal(KEY, "deviceId", "b", "u", seal(KEY, "deviceId", "b", "u", value)) == value


def test_the_same_value_sealed_twice_differs() -> None:
    assert seal(KEY, "deviceId", "bank-a", "user-1", "d-1") != SEALED


@pytest.mark.parametrize(
    "place",
    [
        ("phrase", "bank-a", "user-1"),
        ("deviceId", "bank-b", "user-1"),
        ("deviceId", "bank-a", "user-2"),
        ("deviceId", "bank-auser-1", ""),
        ("deviceIdbank-a", "", "user-1"),
    ],
)
def test_moved_to_another_field_or_customer_it_does_not_open(place: tuple[str, str, str]) -> None:
    with pytest.raises(CannotOpenError):
        unseal(KEY, *place, SEALED)


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(CannotOpenError):
        unseal(os.urandom(32), "deviceId", "bank-a", "user-1", SEALED)


def test_no_changed_byte_opens() -> None:
    content = from_text(SEALED)
    assert content[0] == 1
    for index in range(len(content)):
        changed = bytearray(content)
        changed[index] ^= 1
        with pytest.raises(CannotOpenError):
            unseal(KEY, "deviceId", "bank-a", "user-1", to_text(bytes(changed)))


@pytest.mark.parametrize(
    "text", ["", "AQ", "é", SEALED + "=", SEALED[:-1], SEALED + "A", "AQ\n" * 40]
)
def test_what_is_no_sealed_value_does_not_open(text: str) -> None:
    with pytest.raises(CannotOpenError) as raised:
        unseal(KEY, "deviceId", "bank-a", "user-1", text)
    assert str(raised.value) == "the sealed value does not open with this key, field and customer"
