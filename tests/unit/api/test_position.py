import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.position import LostPositionError, PositionCodec, UnknownPositionError

KEY = bytes(range(32))
CODEC = PositionCodec(KEY, "ledger-1", 1)
POSITION = {0: 12, 3: 7, 200: 10**12}

Positions = st.dictionaries(st.integers(0, 255), st.integers(0, 2**63 - 1), max_size=256)


@given(Positions)
def test_a_position_comes_back(position: dict[int, int]) -> None:
    assert CODEC.decode(CODEC.encode(position)) == position


def test_the_longest_position_comes_back() -> None:
    position = dict.fromkeys(range(256), 2**63 - 1)
    assert CODEC.decode(CODEC.encode(position)) == position


def test_a_position_is_opaque_short_and_the_same_each_time() -> None:
    text = CODEC.encode({partition: 1_000_000 + partition for partition in range(8)})
    assert text == CODEC.encode({7 - partition: 1_000_007 - partition for partition in range(8)})
    assert len(text) <= 80


@pytest.mark.parametrize(
    "other",
    [
        PositionCodec(KEY, "ledger-2", 1),
        PositionCodec(KEY, "ledger-1", 2),
        PositionCodec(KEY, "ledger-11", 1),
        PositionCodec(bytes(32), "ledger-1", 1),
    ],
)
def test_a_position_of_another_ledger_epoch_or_key_is_unknown(other: PositionCodec) -> None:
    with pytest.raises(UnknownPositionError):
        CODEC.decode(other.encode(POSITION))


def test_a_position_of_an_earlier_epoch_is_good_where_nothing_of_it_was_lost() -> None:
    kept = {1: {0: 12, 3: 7, 200: 10**12}, 2: {0: 1 << 40, 3: 7, 200: 10**12}}
    now = PositionCodec(KEY, "ledger-1", 3, kept)
    assert now.decode(CODEC.encode(POSITION)) == POSITION
    assert now.decode(CODEC.encode({3: 6})) == {3: 6}
    for lost in ({0: 13}, {1: 1}):
        with pytest.raises(LostPositionError):
            now.decode(CODEC.encode(lost))
    second = PositionCodec(KEY, "ledger-1", 2)
    assert now.decode(second.encode({0: 1 << 40})) == {0: 1 << 40}
    with pytest.raises(LostPositionError):
        now.decode(second.encode({0: (1 << 40) + 1}))
    with pytest.raises(UnknownPositionError):
        now.decode(PositionCodec(KEY, "ledger-1", 4).encode(POSITION))


def test_a_position_with_any_letter_changed_is_unknown() -> None:
    text = CODEC.encode(POSITION)
    for index, letter in enumerate(text):
        changed = text[:index] + ("A" if letter != "A" else "B") + text[index + 1 :]
        with pytest.raises(UnknownPositionError):
            CODEC.decode(changed)


@pytest.mark.parametrize(
    "text", ["", "0", "abc", "é", "A" * 40, "A" * 1_000_000, "=" * 8, CODEC.encode(POSITION) + "="]
)
def test_what_was_never_given_is_unknown(text: str) -> None:
    with pytest.raises(UnknownPositionError) as raised:
        CODEC.decode(text)
    assert str(raised.value) == "this is no position of this ledger"
