"""Comparing a log, leaf by leaf, with its checkpoints and, where it is there, with its tree.

The checkpoints alone tell between which two of them the first difference is. The tree of the log
tells which record it is: its leaf hashes are believed only where they lead to the next checkpoint.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from device_ledger.proofs import Checkpoint, CompactRange, leaf_hash
from device_ledger.trees.store import TreeStore
from device_ledger.wire.trail import EVENTS_LOG

_READ_LEAVES: Final = 4_096


class DifferenceError(Exception):
    """A log is not the one that was signed; one line that says where."""


class MissingError(DifferenceError):
    """It lacks a record that was signed."""


@dataclass(frozen=True, slots=True)
class Line:
    """A record of a log as it is kept: the event's id or the access record's, its exact bytes, and
    what is wrong with what is kept beside them, if anything is."""

    ref: str
    exact: bytes
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Whole:
    """What was compared: ``leaves`` were there, the first ``proven`` are those that were signed,
    the last of them is ``ref``; ``missing`` more were signed that are not there."""

    leaves: int
    proven: int
    ref: str
    missing: int


class Check:
    """Takes the records of a log in its order."""

    def __init__(
        self, log: str, checkpoints: Iterator[Checkpoint], newest: int, trees: TreeStore | None
    ) -> None:
        """``checkpoints`` come by their size, up to ``newest`` leaves."""
        self._noun = "event" if log == EVENTS_LOG else "access record"
        self._checkpoints = checkpoints
        self._due = next(checkpoints, None)
        self._newest = newest
        self._tree = _Tree(log, trees)
        self._own = CompactRange()
        self._good = (0, "")
        self._ref = ""
        self._first: tuple[int, str, bytes] | None = None

    def add(self, line: Line) -> None:
        """Take the next record.

        Raises:
            DifferenceError: a record up to this one isn't the one that was signed.
        """
        if line.problem:
            raise DifferenceError(f"{self._noun} {line.ref}: {line.problem}")
        hashed = leaf_hash(line.exact)
        if self._first is None and self._tree.next() not in {None, hashed}:
            self._first = (self._own.size, line.ref, hashed)
        elif self._first is not None:
            self._tree.next()
        self._own.append(hashed)
        self._ref = line.ref
        if self._due is not None and self._own.size == self._due.size:
            self._compare(self._due)

    def finish(self) -> Whole:
        """Say what was found, after the last record.

        Raises:
            DifferenceError: one of the records isn't the one that was signed.
        """
        leaves = self._own.size
        if self._due is not None and self._tree.leads_to(self._due):
            if self._first is not None:
                raise self._exactly(*self._first)
            self._good = (leaves, self._ref)
        return Whole(leaves, *self._good, missing=max(0, self._newest - leaves))

    def first_missing(self) -> str:
        """What is known of the first record that is missing at the end, in words."""
        ref = self._tree.ref_of(self._own.size)
        return f"{self._noun} {ref}" if ref else f"the one after {self._noun} {self._ref}"

    def _compare(self, due: Checkpoint) -> None:
        if self._own.root() != due.root:
            if self._first is not None and self._tree.leads_to(due):
                raise self._exactly(*self._first)
            raise DifferenceError(self._between(due))
        self._good = (due.size, self._ref)
        self._first = None
        self._tree.restart(self._own)
        self._due = next(self._checkpoints, None)

    def _exactly(self, index: int, ref: str, hashed: bytes) -> DifferenceError:
        signed = self._tree.ref_of(index)
        if self._noun == "event" and signed and int(ref) < int(signed):
            return DifferenceError(f"event {ref} is not in the log that was signed")
        if self._noun == "event" and signed and int(ref) > int(signed):
            return MissingError(f"event {signed} is missing")
        if hashed == self._tree.leaf(index + 1):
            return MissingError(f"{self._noun} {signed} is missing")
        return DifferenceError(f"{self._noun} {ref} is not what was signed: its bytes were changed")

    def _between(self, due: Checkpoint) -> str:
        size, ref = self._good
        after = f"after {self._noun} {ref}" if ref else "from the first one"
        return (
            f"the log is not the one that was signed: {after} up to {self._noun} {self._ref}"
            f" ({due.size - size} records) one was changed, added or removed; those before are"
            " whole"
        )


class _Tree:
    """The leaf hashes that the tree's keeper has, and where they lead."""

    def __init__(self, log: str, trees: TreeStore | None) -> None:
        self._log = log
        self._trees = trees
        self._range = CompactRange()
        self._block: list[bytes] = []
        self._start = 0

    def leaf(self, index: int) -> bytes | None:
        """A leaf hash; ``None`` where there is none."""
        if self._trees is None:
            return None
        if not self._start <= index < self._start + len(self._block):
            self._start = index
            self._block = self._trees.leaf_hashes(self._log, index, index + _READ_LEAVES)
        return self._block[index - self._start] if self._block else None

    def next(self) -> bytes | None:
        """The leaf hash that follows those taken so far."""
        found = self.leaf(self._range.size)
        if found is not None:
            self._range.append(found)
        return found

    def leads_to(self, checkpoint: Checkpoint) -> bool:
        """Whether the leaf hashes, from the last good checkpoint on, are those that were signed."""
        while self._range.size < checkpoint.size and self.next() is not None:
            pass
        return self._range.size == checkpoint.size and self._range.root() == checkpoint.root

    def restart(self, good: CompactRange) -> None:
        """Go on from a tree that a checkpoint proves."""
        self._range = good.copy()

    def ref_of(self, index: int) -> str:
        """The record that a leaf is; empty where nobody knows."""
        return self._trees.ref_of(self._log, index) if self._trees is not None else ""
