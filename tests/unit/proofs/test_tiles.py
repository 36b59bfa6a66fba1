"""Trees in tiles: the same roots and proofs, however the leaves came."""

from hypothesis import given, settings
from hypothesis import strategies as st

from device_ledger.proofs import consistency_path, inclusion_path, leaf_hash, nodes_of, root_at
from device_ledger.proofs.tiles import Tile, append, nodes_in

LEAVES = 70_000
HASHES = [leaf_hash(b"%d" % number) for number in range(LEAVES)]
NODES = nodes_of(HASHES)


def grown(*steps: int) -> dict[Tile, bytes]:
    """The tiles of a tree that grew in these steps."""
    tiles: dict[Tile, bytes] = {}

    def read(level: int, index: int) -> bytes:
        return tiles.get((level, index), b"")

    size = 0
    for step in steps:
        tiles.update(append(size, HASHES[size : size + step], read))
        size += step
    return tiles


ALL = grown(1, 254, 2, 65_279, 4_464)


def test_tiles_are_full_but_for_the_last_of_each_level() -> None:
    assert {at: len(tile) // 32 for at, tile in ALL.items() if len(tile) != 256 * 32} == {
        (0, 273): 70_000 - 273 * 256,
        (1, 1): 273 - 256,
        (2, 0): 1,
    }
    assert sorted(at for at in ALL if at[0]) == [(1, 0), (1, 1), (2, 0)]


@settings(deadline=None)
@given(st.lists(st.integers(0, 700), max_size=4))
def test_the_tiles_do_not_depend_on_the_steps_of_growing(steps: list[int]) -> None:
    assert grown(*steps) == grown(sum(steps))


@settings(deadline=None)
@given(data=st.data(), size=st.integers(1, LEAVES))
def test_roots_and_proofs_of_tiles_are_those_of_the_leaves(data: st.DataObject, size: int) -> None:
    nodes = nodes_in(lambda *at: ALL.get(at, b""))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(0, size))
    assert root_at(size, nodes) == root_at(size, NODES)
    assert inclusion_path(index, size, nodes) == inclusion_path(index, size, NODES)
    assert consistency_path(old, size, nodes) == consistency_path(old, size, NODES)


def test_a_proof_reads_few_tiles() -> None:
    read: list[Tile] = []

    def reading(level: int, index: int) -> bytes:
        read.append((level, index))
        return ALL[level, index]

    inclusion_path(12_345, LEAVES, nodes_in(reading))
    assert sorted(read) == [(0, 48), (0, 273), (1, 0), (1, 1)]
