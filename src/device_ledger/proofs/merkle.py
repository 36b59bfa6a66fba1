"""Merkle trees as in RFC 9162, section 2.1 (https://www.rfc-editor.org/rfc/rfc9162#section-2.1).

A tree over n leaves has one root; a path of about log2(n) hashes shows that a leaf is in it, or
that a smaller tree is its beginning. All hashes are SHA-256, 32 bytes. RFC 6962 has the same trees.

Proofs are made from *nodes*: ``nodes(level, index)`` is the root of the full subtree over the
leaves ``index * 2**level`` to ``(index + 1) * 2**level - 1``, wherever that is kept.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

Nodes = Callable[[int, int], bytes]

_HASH_BYTES = sha256().digest_size

EMPTY_ROOT = sha256(b"").digest()
"""The root of a tree without leaves."""


class InvalidProofError(ValueError):
    """A proof doesn't show what it is to show."""


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf, given as its exact bytes: ``SHA-256(0x00 || leaf)`` (section 2.1.1)."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: ``SHA-256(0x01 || left || right)`` (section 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def nodes_of(leaf_hashes: Sequence[bytes]) -> Nodes:
    """The nodes over leaf hashes in memory, each computed once."""
    known: dict[tuple[int, int], bytes] = {}

    def node(level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hashes[index]
        if (level, index) not in known:
            known[level, index] = node_hash(
                node(level - 1, 2 * index), node(level - 1, 2 * index + 1)
            )
        return known[level, index]

    return node


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaves, given as their exact bytes (``MTH``, section 2.1.1)."""
    return root([leaf_hash(leaf) for leaf in leaves])


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    return root_at(len(leaf_hashes), nodes_of(leaf_hashes))


def root_at(size: int, nodes: Nodes) -> bytes:
    """The root over the first ``size`` leaves."""
    return _range(0, size, nodes) if size else EMPTY_ROOT


def inclusion_path(index: int, size: int, nodes: Nodes) -> list[bytes]:
    """The path from leaf ``index``, from 0, to the root over ``size`` leaves (section 2.1.3.1).

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range(middle, end, nodes))
            end = middle
        else:
            path.append(_range(start, middle, nodes))
            start = middle
    return path[::-1]


def consistency_path(old: int, new: int, nodes: Nodes) -> list[bytes]:
    """What shows that the tree over ``old`` leaves is the beginning of the one over ``new``
    (section 2.1.4.1). Empty where they are of one size, or the old one has no leaves.

    Raises:
        ValueError: the old tree is larger than the new one.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves is not the beginning of one of {new}")
    if old in (0, new):
        return []
    path = []
    start, end = 0, new
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range(middle, end, nodes))
            end = middle
        else:
            path.append(_range(start, middle, nodes))
            start = middle
    if start:
        path.append(_range(start, end, nodes))
    return path[::-1]


def verify_inclusion(
    hashed: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Make sure that leaf ``index``, with this leaf hash, is in the tree (section 2.1.3.2).

    Raises:
        InvalidProofError: the path doesn't show it.
    """
    if not 0 <= index < size:
        raise InvalidProofError(f"no leaf {index} in a tree of {size}")
    _expect_hashes(hashed, *path)
    found = hashed
    for sibling, is_left in _steps(index, size - 1, path):
        found = node_hash(sibling, found) if is_left else node_hash(found, sibling)
    if found != root:
        raise InvalidProofError("the path leads to another root")


def verify_consistency(
    old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Make sure that the tree of ``old`` leaves is the beginning of that of ``new`` (2.1.4.2).

    Raises:
        InvalidProofError: the path doesn't show it.
    """
    if not 0 <= old <= new:
        raise InvalidProofError(f"a tree of {old} leaves is not the beginning of one of {new}")
    _expect_hashes(*path)
    if old in (0, new):
        if path:
            raise InvalidProofError("the path is too long")
        if old_root != (new_root if old else EMPTY_ROOT):
            raise InvalidProofError("the roots differ")
        return
    # A full old tree is a node of the new one: the path leaves it out.
    due = list(path) if old & (old - 1) else [old_root, *path]
    if not due:
        raise InvalidProofError("the path is too short")
    shared = ((old - 1) ^ old).bit_length() - 1
    first = second = due[0]
    for sibling, is_left in _steps((old - 1) >> shared, (new - 1) >> shared, due[1:]):
        if is_left:
            first = node_hash(sibling, first)
        second = node_hash(sibling, second) if is_left else node_hash(second, sibling)
    if (first, second) != (old_root, new_root):
        raise InvalidProofError("the path leads to other roots")


def _expect_hashes(*hashes: bytes) -> None:
    # Two of other lengths can have the bytes of a node in another way than it was made.
    if any(len(one) != _HASH_BYTES for one in hashes):
        raise InvalidProofError(f"a hash of the proof has not {_HASH_BYTES} bytes")


def _steps(at: int, last: int, path: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each hash of a path upwards, and whether it stands to the left of what was found so far."""
    for sibling in path:
        if last == 0:
            raise InvalidProofError("the path is too long")
        is_left = bool(at & 1) or at == last
        yield sibling, is_left
        while is_left and at and not at & 1:
            at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    if last:
        raise InvalidProofError("the path is too short")


def _split(count: int) -> int:
    """The largest power of two below ``count``."""
    return 1 << (count - 1).bit_length() - 1


def _range(start: int, end: int, nodes: Nodes) -> bytes:
    """The root over the leaves from ``start`` up to ``end``, a subtree of some tree."""
    count = end - start
    level = count.bit_length() - 1
    if count == 1 << level:
        return nodes(level, start >> level)
    middle = start + _split(count)
    return node_hash(_range(start, middle, nodes), _range(middle, end, nodes))
