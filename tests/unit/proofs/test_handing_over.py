"""A log is handed over to another key, and whoever kept one of them follows."""

from collections.abc import Sequence
from itertools import permutations

import pytest

from device_ledger.proofs import (
    Checkpoint,
    CheckpointError,
    HandOver,
    KeyChain,
    NoteError,
    Signer,
    UntrustedNoteError,
    hand_over_line,
    hand_over_of,
    sign_checkpoint,
)

NAME = "example.org/events"
FIRST, SECOND, THIRD, STRANGER = (Signer(NAME, bytes([number] * 32)) for number in range(4))


def signed(size: int, *signers: Signer, lines: Sequence[str] = ("position 7",)) -> str:
    """A checkpoint of so many leaves."""
    return sign_checkpoint(Checkpoint(NAME, size, bytes(32), tuple(lines)), signers)


def handed_over(size: int, before: Signer, after: Signer, *signers: Signer) -> str:
    """A checkpoint that hands the log over, signed by both unless other signers are named."""
    line = hand_over_line(before.verifier, after.verifier)
    return signed(size, *(signers or (before, after)), lines=("position 7", line))


TO_SECOND, TO_THIRD = handed_over(20, FIRST, SECOND), handed_over(40, SECOND, THIRD)
LOG = (
    signed(10, FIRST),
    TO_SECOND,
    signed(30, SECOND),
    TO_THIRD,
    signed(50, THIRD),
)


def test_a_hand_over_names_both_keys() -> None:
    line = hand_over_line(FIRST.verifier, SECOND.verifier)
    found = hand_over_of(Checkpoint(NAME, 1, bytes(32), ("position 7", line)))
    assert found == HandOver(FIRST.verifier, SECOND.verifier)
    assert hand_over_of(Checkpoint(NAME, 1, bytes(32), ("position 7",))) is None


@pytest.mark.parametrize(
    "lines",
    [
        ("hand-over ",),
        (f"hand-over {FIRST.verifier}",),
        (f"hand-over {FIRST.verifier} {SECOND.verifier} {THIRD.verifier}",),
        (hand_over_line(FIRST.verifier, SECOND.verifier),) * 2,
        (hand_over_line(FIRST.verifier, Signer("example.org/other", bytes(32)).verifier),),
    ],
    ids=range(5),
)
def test_whatever_else_says_so_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(NoteError):
        hand_over_of(Checkpoint(NAME, 1, bytes(32), lines))


@pytest.mark.parametrize("kept", [FIRST, SECOND, THIRD])
def test_whichever_key_was_kept_the_whole_log_opens(kept: Signer) -> None:
    for order in permutations(LOG):
        chain = KeyChain([kept.verifier])
        chain.follow(order)
        assert [chain.open(note).size for note in LOG] == [10, 20, 30, 40, 50]


def test_as_it_grows_each_hand_over_is_learnt_once() -> None:
    chain = KeyChain([FIRST.verifier])
    learnt = [(chain.open(note).size, chain.learn(note)) for note in (*LOG, TO_THIRD)]
    assert learnt == [(10, False), (20, True), (30, False), (40, True), (50, False), (40, False)]


@pytest.mark.parametrize(
    ("size", "signer"),
    [(21, FIRST), (19, SECOND), (41, SECOND), (39, THIRD), (30, STRANGER), (30, FIRST)],
)
def test_each_key_opens_its_part_of_the_log_only(size: int, signer: Signer) -> None:
    chain = KeyChain([FIRST.verifier])
    chain.follow(LOG)
    with pytest.raises(UntrustedNoteError):
        chain.open(signed(size, signer))


@pytest.mark.parametrize(
    "note",
    [
        handed_over(20, FIRST, STRANGER, FIRST),
        handed_over(20, FIRST, STRANGER, STRANGER),
        handed_over(20, STRANGER, THIRD),
        handed_over(10, SECOND, STRANGER),
    ],
    ids=["without the new key", "without the old key", "of strangers", "before its time"],
)
def test_a_hand_over_that_not_both_may_sign_leads_nowhere(note: str) -> None:
    chain = KeyChain([FIRST.verifier])
    chain.learn(TO_SECOND)
    assert not chain.learn(note)
    with pytest.raises(UntrustedNoteError):
        chain.open(signed(25, STRANGER))
    assert chain.open(signed(25, SECOND)).size == 25


def test_a_log_that_was_handed_over_twice_is_refused() -> None:
    """Whoever has stolen the old key hands the log over once more, from before."""
    forged = handed_over(15, FIRST, STRANGER)
    for notes in ((TO_SECOND, forged), (forged, TO_SECOND)):
        with pytest.raises(NoteError, match="handed over to two keys"):
            KeyChain([FIRST.verifier]).follow(notes)
    # Who follows the log as it grows has the key that was first.
    chain = KeyChain([FIRST.verifier])
    chain.learn(TO_SECOND)
    with pytest.raises(NoteError, match="handed over to two keys"):
        chain.learn(forged)
    assert chain.open(signed(30, SECOND)).size == 30


def test_what_is_no_checkpoint_teaches_nothing() -> None:
    chain = KeyChain([FIRST.verifier])
    with pytest.raises(NoteError):
        chain.learn("nothing")
    assert not chain.learn(signed(10, FIRST))
    with pytest.raises(CheckpointError):
        chain.learn(signed(10, FIRST, lines=(f"hand-over {FIRST.verifier}",)))
