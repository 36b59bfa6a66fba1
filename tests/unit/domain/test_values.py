import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_ledger.domain.values import (
    InvalidCustomerIdError,
    InvalidDeviceIdError,
    InvalidPhraseError,
    customer_id,
    device_id,
    normalise_phrase,
    phrase,
)

UUID = "0191E7A2-7D8C-4C8B-9D5F-2B6A7F0E4C11"


@pytest.mark.parametrize("text", ["a", "7", "A-Z.a_z~0:9+/=", "=" * 127 + "x", "x" * 128])
def test_a_device_id_of_the_alphabet_comes_back_as_given(text: str) -> None:
    assert device_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "._~:+/=-",
        "x" * 129,
        "a b",
        "a\n",
        "\na",
        "é1",
        "\uff11\uff12",
        "a\x00",
        "a%41",
        "a,b",
    ],
)
def test_any_other_device_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidDeviceIdError):
        device_id(text)


@pytest.mark.parametrize("text", ["c", "Müller & 42", "客户-7", "x" * 128, " "])
def test_a_printable_customer_id_comes_back_as_given(text: str) -> None:
    assert customer_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "x" * 129, "a\tb", "a\n", "\x7f", "\u200b", "\ud800", "a\u2028"]
)
def test_any_other_customer_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidCustomerIdError):
        customer_id(text)


def test_a_customer_id_that_is_a_uuid_is_lower_cased_and_no_other() -> None:
    other_forms = [UUID.replace("-", ""), "{" + UUID + "}", "urn:uuid:" + UUID, UUID + "0"]
    assert customer_id(UUID) == UUID.lower()
    assert [customer_id(text) for text in other_forms] == other_forms


@pytest.mark.parametrize("text", ["blue horse", " Blue  Horse ", "x" * 256, "🐎", "a\x00b"])
def test_a_phrase_is_kept_as_written(text: str) -> None:
    assert phrase(text) == text


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u3000\u00a0", "x" * 257, "a\ud800"])
def test_any_other_phrase_is_refused(text: str) -> None:
    with pytest.raises(InvalidPhraseError):
        phrase(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Blue Horse", "  blue\t\u00a0HORSE\n"),
        ("ﬁne ½", "FINE 1\u20442"),
        ("Straße", "STRASSE"),
        ("caf\u00e9", "CAFE\u0301"),
        ("\u03b1\u0345\u0301", "\u0391\u0301\u0399"),
        ("Ⅷ", "viii"),
        ("\uff21\uff42\uff43", "aBC"),
        ("ς", "Σ"),
    ],
)
def test_phrases_that_differ_in_writing_only_are_the_same(one: str, other: str) -> None:
    assert normalise_phrase(one) == normalise_phrase(other)


def test_phrases_that_differ_in_a_letter_or_word_break_are_not_the_same() -> None:
    phrases = ["blue horse", "bluehorse", "blue house", "blau horse", "blüe horse"]
    assert len({normalise_phrase(text) for text in phrases}) == len(phrases)


@given(st.text(max_size=256))
def test_a_normalised_phrase_stays_as_it_is(text: str) -> None:
    normal = normalise_phrase(text)
    assert normalise_phrase(normal) == normal


@pytest.mark.parametrize(
    ("check", "text"),
    [(device_id, "secret device"), (customer_id, "secret\ncustomer"), (phrase, "secret" * 50)],
)
def test_no_error_repeats_the_value(check: object, text: str) -> None:
    assert callable(check)
    with pytest.raises(ValueError, match="must be") as raised:
        check(text)
    assert "secret" not in f"{raised.value} {raised.value!r}"
