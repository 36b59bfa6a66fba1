"""Trees and proofs: the vectors of RFC 6962's first implementation, and every small tree."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_ledger.proofs import (
    EMPTY_ROOT,
    CompactRange,
    InvalidProofError,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    nodes_of,
    root,
    root_at,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# https://github.com/google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc
LEAVES = [
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243"),
        *("5051525354555657", "606162636465666768696a6b6c6d6e6f"),
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSIONS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCIES = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]

HASHES = [leaf_hash(b"%d" % number) for number in range(70)]
SIZES = range(len(HASHES) + 1)


def by_definition(hashes: list[bytes]) -> bytes:
    """``MTH`` as section 2.1.1 writes it down."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while 2 * half < len(hashes):
        half *= 2
    return node_hash(by_definition(hashes[:half]), by_definition(hashes[half:]))


def test_roots_are_those_of_the_known_vectors() -> None:
    assert [root_of(LEAVES[:size]).hex() for size in range(9)] == ROOTS


@pytest.mark.parametrize(("index", "size", "path"), INCLUSIONS)
def test_inclusion_paths_are_those_of_the_known_vectors(
    index: int, size: int, path: list[str]
) -> None:
    nodes = nodes_of([leaf_hash(leaf) for leaf in LEAVES])
    assert [one.hex() for one in inclusion_path(index, size, nodes)] == path


@pytest.mark.parametrize(("old", "new", "path"), CONSISTENCIES)
def test_consistency_paths_are_those_of_the_known_vectors(
    old: int, new: int, path: list[str]
) -> None:
    nodes = nodes_of([leaf_hash(leaf) for leaf in LEAVES])
    assert [one.hex() for one in consistency_path(old, new, nodes)] == path


def test_every_way_to_a_root_gives_the_one_of_the_definition() -> None:
    growing = CompactRange()
    nodes = nodes_of(HASHES)
    for size in SIZES:
        expected = by_definition(HASHES[:size])
        assert (growing.root(), root_at(size, nodes), root(HASHES[:size])) == (expected,) * 3
        assert CompactRange(growing.size, growing.hashes).root() == expected
        if size < len(HASHES):
            growing.append(HASHES[size])


def test_every_leaf_of_every_small_tree_is_proven_and_no_other() -> None:
    nodes = nodes_of(HASHES)
    for size in SIZES:
        top = root_at(size, nodes)
        for index in range(size):
            path = inclusion_path(index, size, nodes)
            verify_inclusion(HASHES[index], index, size, path, top)
            other = HASHES[(index + 1) % len(HASHES)]
            refused(partial(verify_inclusion, other, index, size, path, top))


def test_every_small_tree_is_proven_the_beginning_of_every_larger_one() -> None:
    nodes = nodes_of(HASHES)
    for new in SIZES:
        for old in range(new + 1):
            path = consistency_path(old, new, nodes)
            verify_consistency(old, new, path, root_at(old, nodes), root_at(new, nodes))
            refused(
                partial(verify_consistency, old, new, path, leaf_hash(b"?"), root_at(new, nodes))
            )


@given(data=st.data(), size=st.integers(1, 70))
def test_a_changed_inclusion_proof_is_refused(data: st.DataObject, size: int) -> None:
    nodes = nodes_of(HASHES)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(index, size, nodes)
    wrong = data.draw(st.sampled_from(changes(path)))
    refused(partial(verify_inclusion, HASHES[index], index, size, wrong, root_at(size, nodes)))


@given(data=st.data(), new=st.integers(1, 70))
def test_a_changed_consistency_proof_is_refused(data: st.DataObject, new: int) -> None:
    nodes = nodes_of(HASHES)
    old = data.draw(st.integers(1, new))
    path = consistency_path(old, new, nodes)
    wrong = data.draw(st.sampled_from(changes(path)))
    refused(partial(verify_consistency, old, new, wrong, root_at(old, nodes), root_at(new, nodes)))


@given(old=st.integers(0, 70), new=st.integers(0, 70), changed=st.integers(0, 69))
def test_a_tree_with_another_leaf_is_not_consistent(old: int, new: int, changed: int) -> None:
    old, new = sorted((old, new))
    if changed >= old:
        return
    rewritten = [*HASHES[:changed], leaf_hash(b"rewritten"), *HASHES[changed + 1 :]]
    path = consistency_path(old, new, nodes_of(rewritten))
    refused(partial(verify_consistency, old, new, path, root(HASHES[:old]), root(rewritten[:new])))


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_a_leaf_that_is_not_there_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_path(index, size, nodes_of(HASHES))
    refused(partial(verify_inclusion, HASHES[0], index, size, [], HASHES[0]))


@pytest.mark.parametrize(("old", "new"), [(4, 3), (-1, 3)])
def test_a_larger_tree_is_not_the_beginning_of_a_smaller_one(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="not the beginning"):
        consistency_path(old, new, nodes_of(HASHES))
    refused(partial(verify_consistency, old, new, [], HASHES[0], HASHES[0]))


def test_hashes_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="2 full subtrees"):
        CompactRange(5, HASHES[:1])


def test_hashes_of_other_lengths_do_not_prove_another_leaf() -> None:
    leaves = [leaf_hash(leaf) for leaf in LEAVES[:3]]
    shared = node_hash(leaves[0], leaves[1]) + leaves[2]
    forged, fourth = leaf_hash(b"forged"), leaf_hash(b"fourth")
    changed = node_hash(forged, fourth)
    new_root = node_hash(shared, changed)
    with pytest.raises(InvalidProofError, match="32 bytes"):
        verify_consistency(3, 4, [b"", forged + fourth, shared], root(leaves), new_root)
    with pytest.raises(InvalidProofError, match="32 bytes"):
        verify_inclusion(forged, 2, 4, [fourth, shared], new_root)
    with pytest.raises(InvalidProofError, match="32 bytes"):
        verify_inclusion(b"", 1, 2, [leaves[0] + leaves[1]], root(leaves[:2]))


def changes(path: list[bytes]) -> list[list[bytes]]:
    """Paths that are nearly this one."""
    found = [[*path, HASHES[0]]]
    for at in range(len(path)):
        flipped = bytes([path[at][0] ^ 1]) + path[at][1:]
        found += [[*path[:at], flipped, *path[at + 1 :]], [*path[:at], *path[at + 1 :]]]
    return found


def refused(check: Callable[[], None]) -> None:
    with pytest.raises(InvalidProofError):
        check()
