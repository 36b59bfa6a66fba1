"""The trees' store, on SQLite and PostgreSQL: grown all or nothing, and read for proofs."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from device_ledger.proofs import (
    Nodes,
    consistency_path,
    inclusion_path,
    leaf_hash,
    nodes_of,
    root_at,
)
from device_ledger.settings import Settings
from device_ledger.trees.database import TreeStoreError
from device_ledger.trees.store import Leaf, Standing, Stored, TreeMovedError, TreeStore
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from tests.conftest import AnyStore

HASHES = [leaf_hash(b"%d" % number) for number in range(2_000)]


@pytest.fixture
def settings(any_store: AnyStore) -> Settings:
    return Settings(home=any_store.home, event_store_url=SecretStr(any_store.url))


@pytest.fixture
def store(settings: Settings) -> Iterator[TreeStore]:
    store = TreeStore.open(settings)
    store.prepare()
    yield store
    store.close()


def events(start: int, end: int) -> list[Leaf]:
    """Leaves of events: every third id is public."""
    return [Leaf(HASHES[number], str(3 * number + 1)) for number in range(start, end)]


def grown(store: TreeStore, *sizes: int) -> Standing:
    """Let the tree of events grow to these sizes, one after the other."""
    standing = store.standing(EVENTS_LOG)
    for size in sizes:
        leaves = events(standing.size, size)
        standing = store.append(EVENTS_LOG, standing, leaves, int(leaves[-1].ref))
    return standing


def test_a_new_store_has_nothing(store: TreeStore) -> None:
    assert (store.standing(EVENTS_LOG), store.verifier(EVENTS_LOG)) == (Standing(0, 0), "")
    assert (store.newest_checkpoint(EVENTS_LOG), store.published_up_to()) == (None, -1)
    assert (store.leaf_of(EVENTS_LOG, "1"), store.ref_of(EVENTS_LOG, 0)) == (None, "")
    assert (store.leaf_of(ACCESS_LOG, "x"), store.ref_of(ACCESS_LOG, 0)) == (None, "")
    assert store.leaf_hashes(EVENTS_LOG, 0, 300) == []


def test_a_tree_is_the_same_however_it_grew_and_whoever_reads_it(
    store: TreeStore, settings: Settings
) -> None:
    assert grown(store, 1, 200, 256, 257, 1_000, 2_000) == Standing(2_000, 5_998)
    reader = TreeStore.open(settings)
    nodes, expected = reader.nodes(EVENTS_LOG), nodes_of(HASHES)
    for size in (1, 255, 256, 257, 1_999, 2_000):
        assert root_at(size, nodes) == root_at(size, expected)
        assert inclusion_path(size - 1, size, nodes) == inclusion_path(size - 1, size, expected)
        assert consistency_path(size, 2_000, nodes) == consistency_path(size, 2_000, expected)
    assert reader.leaf_hashes(EVENTS_LOG, 250, 520) == HASHES[250:520]
    assert reader.leaf_hashes(EVENTS_LOG, 1_990, 3_000) == HASHES[1_990:]
    assert reader.standing(EVENTS_LOG) == Standing(2_000, 5_998)
    reader.close()


def test_an_event_is_found_by_its_id_and_named_by_its_leaf(store: TreeStore) -> None:
    grown(store, 100, 300, 2_000)
    for leaf in (0, 99, 100, 255, 256, 299, 300, 1_999):
        assert store.leaf_of(EVENTS_LOG, str(3 * leaf + 1)) == (leaf, None)
        assert store.ref_of(EVENTS_LOG, leaf) == str(3 * leaf + 1)
    assert [store.leaf_of(EVENTS_LOG, ref) for ref in ("0", "2", "5999")] == [None] * 3
    assert store.ref_of(EVENTS_LOG, 2_000) == ""


def test_an_access_record_is_found_where_it_came_first(store: TreeStore) -> None:
    leaves = [Leaf(HASHES[0], "a", "bank-1"), Leaf(HASHES[1], "b"), Leaf(HASHES[2], "")]
    standing = store.append(ACCESS_LOG, Standing(), leaves, 7)
    store.append(ACCESS_LOG, standing, [Leaf(HASHES[0], "a", "bank-1")], 8)
    assert [store.leaf_of(ACCESS_LOG, ref) for ref in ("a", "b", "", "c")] == [
        (0, "bank-1"),
        (1, None),
        None,
        None,
    ]
    assert [store.ref_of(ACCESS_LOG, leaf) for leaf in range(4)] == ["a", "b", "", ""]
    assert store.standing(ACCESS_LOG) == Standing(4, 8)
    assert store.standing(EVENTS_LOG) == Standing(0, 0)


def test_of_two_writers_that_grow_one_tree_the_later_writes_nothing(store: TreeStore) -> None:
    before = grown(store, 10)
    grown(store, 20)
    with pytest.raises(TreeMovedError):
        store.append(EVENTS_LOG, before, events(10, 15), 99)
    assert store.standing(EVENTS_LOG) == Standing(20, 58)
    assert root_at(20, store.nodes(EVENTS_LOG)) == root_at(20, nodes_of(HASHES))


def test_a_checkpoint_is_kept_with_the_leaves_or_not_at_all(store: TreeStore) -> None:
    seen: list[bytes] = []

    def note(nodes: Nodes) -> str:
        seen.append(root_at(300, nodes))
        return "note of 300"

    def refuse(nodes: Nodes) -> str:
        raise ZeroDivisionError

    before = grown(store, 100)
    after = store.append(EVENTS_LOG, before, events(100, 300), 898, note)
    with pytest.raises(ZeroDivisionError):
        store.append(EVENTS_LOG, after, events(300, 400), 1_198, refuse)
    assert store.standing(EVENTS_LOG) == after
    assert seen == [root_at(300, nodes_of(HASHES))]
    assert store.leaf_of(EVENTS_LOG, "901") is None
    assert store.newest_checkpoint(EVENTS_LOG) == Stored(300, "note of 300", None)


def test_checkpoints_are_listed_by_size_and_known_to_be_published(store: TreeStore) -> None:
    standing = Standing()
    for size in (10, 20, 30):
        leaves = events(standing.size, size)
        standing = store.append(EVENTS_LOG, standing, leaves, size, lambda _: f"note of {size}")  # noqa: B023
    stored = [Stored(size, f"note of {size}", None) for size in (10, 20, 30)]
    assert store.unpublished(EVENTS_LOG, limit=2) == stored[:2]
    given = [Stored(10, "note of 10", 4), Stored(20, "another note", 5), Stored(40, "new", 6)]
    assert store.keep_published(EVENTS_LOG, given) == ["note of 10", "note of 20", "new"]
    assert store.unpublished(EVENTS_LOG) == stored[2:]
    assert store.unpublished(ACCESS_LOG) == []
    assert store.published_up_to() == 6
    assert store.checkpoints(EVENTS_LOG, above=10, up_to=39) == [
        Stored(20, "note of 20", 5),
        Stored(30, "note of 30", None),
    ]
    assert store.newest_checkpoint(EVENTS_LOG, up_to=29) == Stored(20, "note of 20", 5)


def test_the_verifier_key_is_kept_beside_the_tree(store: TreeStore) -> None:
    store.set_verifier(EVENTS_LOG, "first")
    grown(store, 10)
    store.set_verifier(EVENTS_LOG, "second")
    assert (store.verifier(EVENTS_LOG), store.standing(EVENTS_LOG).size) == ("second", 10)


def test_preparing_again_changes_nothing(store: TreeStore) -> None:
    grown(store, 10)
    store.prepare()
    assert store.standing(EVENTS_LOG).size == 10


def test_a_store_that_is_not_there_is_told_in_one_line(any_store: AnyStore) -> None:
    url = any_store.url and "postgresql://nobody@127.0.0.1:1/none"
    store = TreeStore.open(Settings(home=any_store.home, event_store_url=SecretStr(url)))
    with pytest.raises(TreeStoreError, match=r"^the store of the logs' trees failed: Operational"):
        store.standing(EVENTS_LOG)
    assert not (any_store.home / "log").exists()
