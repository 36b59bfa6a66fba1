"""The relay's signing hands a log over to another key, with the next checkpoint and once."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from pydantic import SecretStr

from device_ledger.proofs import KeyChain, Signer, leaf_hash, open_checkpoint
from device_ledger.relay import signing
from device_ledger.relay.signing import Signing, is_signed_by
from device_ledger.settings import Settings
from device_ledger.trees.store import Leaf, TreeStore
from device_ledger.verify.check import DifferenceError
from device_ledger.verify.signed import signed_here, signed_in_file
from device_ledger.wire.trail import EVENTS_LOG
from tests.conftest import AnyStore
from tests.support.crashing import Crash, crash_at

NAME = "device-ledger/ledger-1/events"
FIRST, SECOND, THIRD = (Signer(NAME, bytes([number] * 32)) for number in range(3))


@pytest.fixture
def trees(any_store: AnyStore) -> Iterator[TreeStore]:
    settings = Settings(home=any_store.home, event_store_url=SecretStr(any_store.url))
    with closing(TreeStore.open(settings)) as found:
        found.prepare()
        yield found


def grow(trees: TreeStore, signer: Signer, *before: Signer, times: int = 1) -> None:
    """As a relay that starts with these keys: append an event at a time, each checkpoint due."""
    ticks = count(step=100)
    one = Signing(trees, EVENTS_LOG, signer, lambda: float(next(ticks)), before=before)
    standing = one.open()
    for _ in range(times):
        number = standing.size + 1
        leaf = Leaf(leaf_hash(b"%d" % number), str(number))
        standing = one.append(standing, [leaf], number)


def signed_by(trees: TreeStore) -> list[list[int]]:
    """Which of the keys signed each checkpoint."""
    signers = (FIRST, SECOND, THIRD)
    return [
        [n for n, one in enumerate(signers, 1) if is_signed_by(found.note, one.verifier)]
        for found in trees.checkpoints(EVENTS_LOG)
    ]


def test_the_next_checkpoint_is_signed_by_both_and_those_after_it_by_the_new_key(
    trees: TreeStore,
) -> None:
    grow(trees, FIRST, times=2)
    grow(trees, SECOND, FIRST, times=3)
    assert signed_by(trees) == [[1], [1], [1, 2], [2], [2]]
    assert trees.verifier(EVENTS_LOG) == str(SECOND.verifier)
    grow(trees, SECOND, FIRST)
    grow(trees, SECOND)
    grow(trees, THIRD, FIRST, SECOND, times=2)
    assert signed_by(trees)[5:] == [[2], [2], [2, 3], [3]]
    notes = [one.note for one in trees.checkpoints(EVENTS_LOG)]
    assert trees.hand_overs(EVENTS_LOG) == [notes[2], notes[7]]
    for kept in (FIRST, SECOND, THIRD):
        chain = KeyChain([kept.verifier])
        chain.follow(trees.hand_overs(EVENTS_LOG))
        assert [chain.open(note).size for note in notes] == [*range(1, 10)]


def test_until_the_log_grows_the_old_key_is_the_logs(trees: TreeStore) -> None:
    grow(trees, FIRST)
    grow(trees, SECOND, FIRST, times=0)
    assert (signed_by(trees), trees.verifier(EVENTS_LOG)) == ([[1]], str(FIRST.verifier))


def test_a_log_that_nothing_was_signed_of_needs_no_hand_over(trees: TreeStore) -> None:
    grow(trees, SECOND, FIRST)
    assert (signed_by(trees), trees.hand_overs(EVENTS_LOG)) == ([[2]], [])


def test_without_the_old_key_nothing_is_handed_over_and_that_is_said(
    trees: TreeStore, caplog: pytest.LogCaptureFixture
) -> None:
    grow(trees, FIRST)
    grow(trees, THIRD, SECOND)
    assert (signed_by(trees), trees.hand_overs(EVENTS_LOG)) == ([[1], [3]], [])
    assert "was signed by another key than this" in caplog.text


def test_a_crash_at_any_line_leaves_one_hand_over(tmp_path: Path) -> None:
    line = crashes = 0
    while True:
        line += 1
        made = TreeStore.open(Settings(home=tmp_path / str(line)))
        made.prepare()
        grow(made, FIRST)
        try:
            with crash_at(line, signing) as at:
                grow(made, SECOND, FIRST, times=2)
        except Crash:
            crashes += 1
        made.close()
        with closing(TreeStore.open(Settings(home=tmp_path / str(line)))) as trees:
            grow(trees, SECOND, FIRST, times=2)
            [handed_over] = trees.hand_overs(EVENTS_LOG)
            chain = KeyChain([FIRST.verifier])
            chain.follow([handed_over])
            notes = [one.note for one in trees.checkpoints(EVENTS_LOG)]
            assert [chain.open(note).size for note in notes] == [*range(1, len(notes) + 1)]
            open_checkpoint(notes[-1], [SECOND.verifier])
            assert trees.verifier(EVENTS_LOG) == str(SECOND.verifier)
        if at.crashed_at is None:
            break
    assert crashes > 40


def test_whoever_kept_either_key_verifies_what_both_signed(
    trees: TreeStore, tmp_path: Path
) -> None:
    grow(trees, FIRST, times=2)
    grow(trees, SECOND, FIRST, times=3)
    notes, sizes = [one.note for one in trees.checkpoints(EVENTS_LOG)], [1, 2, 3, 4, 5]
    kept, without = tmp_path / "kept.txt", tmp_path / "without.txt"
    kept.write_text("".join(reversed(notes)))
    without.write_text("".join(note for note in notes if "hand-over" not in note))
    for key in (FIRST.verifier, SECOND.verifier):
        in_file = signed_in_file(kept, EVENTS_LOG, key)
        assert [one.size for one in in_file.checkpoints] == sizes
        assert [one.size for one in signed_here(trees, EVENTS_LOG, key).checkpoints] == sizes
        with pytest.raises(DifferenceError, match="doesn't hold"):
            signed_in_file(without, EVENTS_LOG, key)
    with pytest.raises(DifferenceError, match="doesn't hold"):
        signed_in_file(kept, EVENTS_LOG, THIRD.verifier)
