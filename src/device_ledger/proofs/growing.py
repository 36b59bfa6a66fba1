"""A tree that grows leaf by leaf and keeps about log2(n) hashes: enough for its root."""

from collections.abc import Iterable

from device_ledger.proofs.merkle import EMPTY_ROOT, node_hash


class CompactRange:
    """The full subtrees that a tree consists of, the largest first.

    The same as ``compact.Range`` of https://github.com/transparency-dev/merkle from leaf 0 on.
    """

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """A tree of ``size`` leaves; ``hashes`` is what ``hashes`` of such a tree was.

        Raises:
            ValueError: a tree of that size has another number of full subtrees.
        """
        self._size = size
        self._hashes = list(hashes)
        if len(self._hashes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} full subtrees")

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The roots of the full subtrees, the largest first."""
        return tuple(self._hashes)

    def append(self, hashed: bytes) -> None:
        """Add a leaf, given as its leaf hash."""
        size = self._size
        while size & 1:
            hashed = node_hash(self._hashes.pop(), hashed)
            size >>= 1
        self._hashes.append(hashed)
        self._size += 1

    def root(self) -> bytes:
        """The root over all leaves."""
        if not self._hashes:
            return EMPTY_ROOT
        found = self._hashes[-1]
        for left in self._hashes[-2::-1]:
            found = node_hash(left, found)
        return found

    def copy(self) -> "CompactRange":
        """The same tree, to grow by itself."""
        return CompactRange(self._size, self._hashes)
