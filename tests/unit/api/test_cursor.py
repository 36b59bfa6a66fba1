import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursor import CursorCodec, UnknownCursorError

CODEC = CursorCodec(bytes(range(32)))
QUESTION = ["bank-a", "search", "linkedAt", "desc"]
VALUES: list[str | int] = ["2026-01-31T09:30:00.000Z", 42]

Text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(Text | st.integers(-(2**53), 2**53), max_size=4), st.lists(Text, max_size=5))
def test_a_cursor_comes_back(values: list[str | int], question: list[str]) -> None:
    assert CODEC.decode(CODEC.encode(values, question), question) == values


@pytest.mark.parametrize(
    "question",
    [
        ["bank-b", "search", "linkedAt", "desc"],
        ["bank-a", "other", "linkedAt", "desc"],
        ["bank-a", "search", "phrase", "desc"],
        ["bank-a", "search", "linkedAt", "asc"],
        ["bank-as", "earch", "linkedAt", "desc"],
        ["bank-a", "search", "linkedAt"],
        ["bank-a", "search", "linkedAt", "desc", ""],
    ],
)
def test_a_cursor_of_another_question_is_unknown(question: list[str]) -> None:
    with pytest.raises(UnknownCursorError):
        CODEC.decode(CODEC.encode(VALUES, QUESTION), question)


def test_a_cursor_under_another_key_is_unknown() -> None:
    with pytest.raises(UnknownCursorError):
        CODEC.decode(CursorCodec(bytes(32)).encode(VALUES, QUESTION), QUESTION)


def test_a_cursor_with_any_letter_changed_is_unknown() -> None:
    text = CODEC.encode(VALUES, QUESTION)
    for index, letter in enumerate(text):
        changed = text[:index] + ("A" if letter != "A" else "B") + text[index + 1 :]
        with pytest.raises(UnknownCursorError):
            CODEC.decode(changed, QUESTION)


@pytest.mark.parametrize("text", ["", "0", "é", "A" * 40, "A" * 1_000_000])
def test_what_was_never_given_is_unknown(text: str) -> None:
    with pytest.raises(UnknownCursorError) as raised:
        CODEC.decode(text, QUESTION)
    assert str(raised.value) == "this is no cursor of this list"
