"""A log held against its checkpoints: the first difference is found, wherever it is."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from device_ledger.proofs import Checkpoint, leaf_hash, root
from device_ledger.settings import Settings
from device_ledger.trees.store import Leaf, Standing, TreeStore
from device_ledger.verify.check import Check, DifferenceError, Line, Whole
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG

COUNT = 1_000
SIZES = (100, 300, 700, 900)
LINES = [Line(str(3 * number + 1), b"event %d" % number) for number in range(COUNT)]
HASHES = [leaf_hash(line.exact) for line in LINES]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def trees(home: Path) -> Iterator[TreeStore]:
    """The tree of these events, and of as many access records."""
    store = TreeStore.open(Settings(home=home))
    store.prepare()
    leaves = [Leaf(hashed, line.ref) for hashed, line in zip(HASHES, LINES, strict=True)]
    for log in (EVENTS_LOG, ACCESS_LOG):
        store.append(log, Standing(), leaves, 3 * COUNT)
    yield store
    store.close()


def checkpoints(*sizes: int) -> list[Checkpoint]:
    return [Checkpoint("log", size, root(HASHES[:size])) for size in sizes]


def check(
    lines: Sequence[Line],
    trees: TreeStore | None = None,
    *,
    sizes: Sequence[int] = SIZES,
    log: str = EVENTS_LOG,
) -> Whole:
    checking = Check(log, iter(checkpoints(*sizes)), sizes[-1], trees)
    for line in lines:
        checking.add(line)
    return checking.finish()


def difference(
    lines: Sequence[Line],
    trees: TreeStore | None = None,
    *,
    sizes: Sequence[int] = SIZES,
    log: str = EVENTS_LOG,
) -> str:
    with pytest.raises(DifferenceError) as caught:
        check(lines, trees, sizes=sizes, log=log)
    return str(caught.value)


def changed(index: int) -> list[Line]:
    return [*LINES[:index], Line(LINES[index].ref, b"another"), *LINES[index + 1 :]]


def without(index: int) -> list[Line]:
    return [*LINES[:index], *LINES[index + 1 :]]


def with_one_more(index: int) -> list[Line]:
    return [*LINES[:index], Line(str(3 * index), b"invented"), *LINES[index:]]


def test_a_log_that_is_the_one_that_was_signed_is_whole(trees: TreeStore) -> None:
    expected = Whole(leaves=COUNT, proven=900, ref=LINES[899].ref, missing=0)
    assert check(LINES) == check(LINES, trees) == expected
    assert check(LINES[:900], trees) == Whole(900, 900, LINES[899].ref, 0)


@pytest.mark.parametrize("index", [0, 99, 100, 299, 300, 555, 899])
def test_the_first_change_is_named_by_the_tree(trees: TreeStore, index: int) -> None:
    ref = LINES[index].ref
    assert difference(changed(index), trees) == (
        f"event {ref} is not what was signed: its bytes were changed"
    )
    assert difference(without(index), trees) == f"event {ref} is missing"
    assert difference(with_one_more(index), trees) == (
        f"event {3 * index} is not in the log that was signed"
    )


@pytest.mark.parametrize("index", [0, 555, 899])
def test_access_records_have_no_order_of_their_own(trees: TreeStore, index: int) -> None:
    ref = LINES[index].ref
    assert difference(changed(index), trees, log=ACCESS_LOG) == (
        f"access record {ref} is not what was signed: its bytes were changed"
    )
    assert difference(without(index), trees, log=ACCESS_LOG) == f"access record {ref} is missing"


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (0, "from the first one up to event 298 (100 records)"),
        (99, "from the first one up to event 298 (100 records)"),
        (100, "after event 298 up to event 898 (200 records)"),
        (899, "after event 2098 up to event 2698 (200 records)"),
    ],
)
def test_without_the_tree_the_checkpoints_around_the_change_are_named(
    index: int, words: str
) -> None:
    assert words in difference(changed(index))


def test_what_comes_after_the_last_checkpoint_is_told_to_be_unproven(trees: TreeStore) -> None:
    assert check(changed(950)).proven == check(changed(950), trees).proven == 900


def test_a_log_that_ends_too_soon_lacks_what_was_signed(trees: TreeStore) -> None:
    assert check(LINES[:650]) == Whole(650, 300, LINES[299].ref, 250)
    # Up to the end the tree proves it, by the checkpoint that comes after it.
    assert check(LINES[:650], trees) == Whole(650, 650, LINES[649].ref, 250)
    assert difference(changed(640)[:650], trees) == (
        f"event {LINES[640].ref} is not what was signed: its bytes were changed"
    )
    assert check([], trees) == Whole(0, 0, "", 900)


def test_the_first_that_is_missing_at_the_end_is_named(trees: TreeStore) -> None:
    for given, words in ((trees, f"event {LINES[650].ref}"), (None, "the one after event 1948")):
        checking = Check(EVENTS_LOG, iter(checkpoints(*SIZES)), 900, given)
        for line in LINES[:650]:
            checking.add(line)
        assert checking.first_missing() == words


def test_a_tree_that_was_changed_itself_accuses_nobody(home: Path, trees: TreeStore) -> None:
    trees.close()
    with closing(sqlite3.connect(home / "log" / "tree.db")) as database:
        database.execute(
            "UPDATE log_tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0 AND place = 2"
        )
        database.commit()
    assert check(LINES, trees) == Whole(COUNT, 900, LINES[899].ref, 0)
    assert "after event 898 up to event 2098 (400 records)" in difference(changed(555), trees)
    assert difference(changed(150), trees) == (
        f"event {LINES[150].ref} is not what was signed: its bytes were changed"
    )


def test_what_is_kept_beside_the_bytes_is_told_where_it_is_wrong() -> None:
    line = Line("7", LINES[2].exact, "the column bank_id is not what its bytes say")
    assert difference([*LINES[:2], line]) == (
        "event 7: the column bank_id is not what its bytes say"
    )
