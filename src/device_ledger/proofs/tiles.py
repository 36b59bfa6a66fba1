"""Trees kept as tiles, 256 hashes each, as in C2SP tlog-tiles (https://c2sp.org/tlog-tiles).

Tile (level 0, index n) has the leaf hashes from 256 n on; tile (level l, index n) has the roots of
256 tiles of the level below. A tile is the concatenation of its hashes, and only the last of a
level may have fewer than 256. So n leaves are about n/256 tiles, and a proof reads a few of them.
"""

from collections.abc import Callable, Iterable

from device_ledger.proofs.merkle import Nodes, node_hash

HASH_BYTES = 32
WIDTH = 256
HEIGHT = 8
TILE_BYTES = WIDTH * HASH_BYTES

Tile = tuple[int, int]
"""Level and index of a tile."""

ReadTile = Callable[[int, int], bytes]
"""Gives a tile by level and index; an empty one where there is none."""


def nodes_in(read: ReadTile) -> Nodes:
    """The nodes of a tree by its tiles; each tile is read once.

    A node whose tile lacks hashes raises ``IndexError``: the tree is smaller, or was damaged.
    """
    known: dict[Tile, bytes] = {}

    def node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, HEIGHT)
        tile_index, place = divmod(index << height, WIDTH)
        at = (tile_level, tile_index)
        if at not in known:
            known[at] = read(*at)
        end = place + (1 << height)
        hashes = _hashes(known[at][place * HASH_BYTES : end * HASH_BYTES])
        if len(hashes) != 1 << height:
            raise IndexError(f"tile {at} has no node {level}/{index}")
        return _fold(hashes)

    return node


def append(size: int, leaf_hashes: Iterable[bytes], read: ReadTile) -> dict[Tile, bytes]:
    """The tiles that change where leaves are added to a tree of ``size`` leaves."""
    changed: dict[Tile, bytes] = {}
    place = size
    for hashed in leaf_hashes:
        level, index, entry = 0, place, hashed
        while True:
            at = (level, index // WIDTH)
            if at not in changed:
                changed[at] = read(*at) if index % WIDTH else b""
            changed[at] += entry
            if (index + 1) % WIDTH:
                break
            level, index, entry = level + 1, index // WIDTH, _fold(_hashes(changed[at]))
        place += 1
    return changed


def _hashes(tile: bytes) -> list[bytes]:
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def _fold(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [node_hash(*hashes[at : at + 2]) for at in range(0, len(hashes), 2)]
    return hashes[0]
