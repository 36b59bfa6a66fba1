import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_ledger.vault.encoding import from_text, strings, to_text
from device_ledger.vault.tokens import TokenKey

KEY = bytes(range(32))
TOKENS = TokenKey(KEY)
A_UUID = "0191e7a2-7d8c-4c8b-9d5f-2b6a7f0e4c11"
GOLDEN = {
    "device": "bG3Kzm5TDLMvhfJUvi6KArzxtFwvL8xI_v423FYzWlM",
    "phrase": "wfNWgR4_lRmfXR1Qsy44LnBp18RE3wut8gwVudfxidQ",
    "customer": "GopsWNjkymLH_0ULji1G3U9n6iuWaAzVP259zze-s18",
    "address": "ctdhpZJR0OAX3Vup-ozeVr1oQiZtR42RLsefRUnBZnc",
    "name": "_Q5GT1N43pr0k6IGkJgRDwab0kSLW45wUYAPzQ3ZSCk",
    "receipt": "apuOBJ2ueCpcTlpPYi_-5rI2Z2JtfS-o3TQ9s1nvP9c",
    "body": "8NpRmI1tU2DVelt_EQdqzGMj4fZitQZBlSQLLLQmpLs",
    "user_id": "f3ff2e1f-fcde-8bbe-be4d-cb2b8149b948",
    "derived": "3b166db322c2b6e77d04091cdefb74c2d4b6c9f2177f620127b14a6a8fb4c49e",
    "id": "f1a3e38465a74d1f",
}

Parts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=5)


def test_a_token_is_hmac_sha256_over_length_prefixed_parts() -> None:
    content = b"".join(
        len(part).to_bytes(4, "big") + part
        for part in (b"device-ledger/token/v1", b"device", b"d-1")
    )
    expected = urlsafe_b64encode(hmac.new(KEY, content, hashlib.sha256).digest())
    assert TOKENS.device("d-1") == expected.rstrip(b"=").decode()


def test_tokens_never_change() -> None:
    assert {
        "device": TOKENS.device("d-1"),
        "phrase": TOKENS.phrase("bank-a", "blue horse"),
        "customer": TOKENS.customer("bank-a", A_UUID),
        "address": TOKENS.address("192.0.2.1"),
        "name": TOKENS.name("bank-a", A_UUID, "Anna's phone"),
        "receipt": TOKENS.receipt("core", "POST", "/v1/bank/customer/device/link", "k-1"),
        "body": TOKENS.body(b"{}"),
        "user_id": TOKENS.user_id("bank-a", "anna"),
        "derived": TOKENS.derive("position").hex(),
        "id": TOKENS.id,
    } == GOLDEN


@given(Parts, Parts)
def test_no_two_lists_of_parts_give_the_same_bytes(one: list[str], other: list[str]) -> None:
    assert (strings(*one) == strings(*other)) == (one == other)


@given(st.text(max_size=6), st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))
def test_moving_letters_from_bank_to_phrase_gives_another_token(
    bank: str, phrase: str, other_bank: str, other_phrase: str
) -> None:
    same = (bank, phrase) == (other_bank, other_phrase)
    assert (TOKENS.phrase(bank, phrase) == TOKENS.phrase(other_bank, other_phrase)) == same


@given(st.binary(min_size=1, max_size=64), st.text(max_size=64))
def test_bytes_as_text_come_back_and_other_text_is_refused(content: bytes, text: str) -> None:
    assert from_text(to_text(content)) == content
    try:
        read = from_text(text)
    except ValueError:
        return
    assert to_text(read) == text


def test_the_kinds_of_tokens_and_the_keys_are_kept_apart() -> None:
    tokens = [
        TOKENS.device("x"),
        TOKENS.body(b"x"),
        TOKENS.phrase("x", "y"),
        TOKENS.customer("x", "y"),
        TOKENS.name("x", "y", ""),
        to_text(TOKENS.derive("x")),
        TokenKey(bytes(32)).device("x"),
    ]
    assert len(set(tokens)) == len(tokens)
    assert {len(token) for token in tokens} == {43}


def test_the_same_phrase_at_two_banks_has_two_tokens() -> None:
    assert TOKENS.phrase("bank-a", "blue") != TOKENS.phrase("bank-b", "blue")


@pytest.mark.parametrize(
    "addresses",
    [
        ["192.0.2.1", "::ffff:192.0.2.1", "::FFFF:c000:201"],
        ["2001:db8::1", "2001:0DB8:0:0:ffff::9", "2001:db8::1%eth0"],
    ],
)
def test_addresses_of_one_network_have_one_token(addresses: list[str]) -> None:
    assert len({TOKENS.address(address) for address in addresses}) == 1


def test_other_addresses_have_other_tokens() -> None:
    addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::", "2001:db8:0:1::", "::", "0.0.0.0"]
    assert len({TOKENS.address(address) for address in addresses}) == len(addresses)


@pytest.mark.parametrize("text", ["", "secret", "192.0.2.256", "192.0.2.1/24", "01.2.3.4"])
def test_what_is_no_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not an IP address$") as raised:
        TOKENS.address(text)
    assert raised.value.__cause__ is None


def test_a_customer_id_that_is_a_uuid_is_the_user_id_in_lower_case() -> None:
    assert TOKENS.user_id("bank-a", A_UUID.upper()) == A_UUID
    assert TOKENS.user_id("bank-b", A_UUID) == A_UUID


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_other_customer_id_gives_a_uuid_of_version_8(bank: str, customer: str) -> None:
    user = TOKENS.user_id(bank, customer)
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", user
    )
    assert UUID(user).version == 8
    assert user == TOKENS.user_id(bank, customer)


def test_a_customer_has_another_user_id_at_another_bank() -> None:
    assert TOKENS.user_id("bank-a", "anna") != TOKENS.user_id("bank-b", "anna")


def test_the_key_shows_nowhere() -> None:
    shown = f"{TOKENS!r} {TOKENS} {TOKENS.id}"
    assert KEY.hex() not in shown
    assert repr(KEY) not in shown
    with pytest.raises(ValueError, match="32 bytes") as raised:
        TokenKey(b"secret")
    assert "secret" not in str(raised.value)
