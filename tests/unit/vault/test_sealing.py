import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_ledger.vault.encoding import from_text, to_text
from device_ledger.vault.sealing import CannotOpenError, Unsealer, seal

KEY = bytes(range(32))
SEALED = seal(KEY, "deviceId", "bank-a", "user-1", "d-1")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_sealed_value_opens(value: str) -> None:
    unsealer = Unsealer(KEY, "b", "u")
    for field in ("deviceId", "phrase", "deviceId"):
        assert unsealer.open(field, seal(KEY, field, "b", "u", value)) == value


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
    field, bank_id, user_id = place
    with pytest.raises(CannotOpenError):
        Unsealer(KEY, bank_id, user_id).open(field, SEALED)


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(CannotOpenError):
        Unsealer(os.urandom(32), "bank-a", "user-1").open("deviceId", SEALED)


def test_no_changed_byte_opens() -> None:
    content = from_text(SEALED)
    assert content[0] == 1
    for index in range(len(content)):
        changed = bytearray(content)
        changed[index] ^= 1
        with pytest.raises(CannotOpenError):
            Unsealer(KEY, "bank-a", "user-1").open("deviceId", to_text(bytes(changed)))


@pytest.mark.parametrize(
    "text",
    ["", "AQ", "é", SEALED + "=", SEALED[:-1], SEALED + "A", "AQ\n" * 40],
    ids=["empty", "short", "no-ascii", "padded", "cut", "longer", "lines"],
)
def test_what_is_no_sealed_value_does_not_open(text: str) -> None:
    with pytest.raises(CannotOpenError) as raised:
        Unsealer(KEY, "bank-a", "user-1").open("deviceId", text)
    assert str(raised.value) == "the sealed value does not open with this key, field and customer"
