"""The checkpoints to verify by: those of a file, or those that this installation signed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device_ledger.proofs import (
    Checkpoint,
    KeyChain,
    NoteError,
    VerifierKey,
    parse_checkpoint,
    split_notes,
    unverified_text,
)
from device_ledger.trees.names import log_of
from device_ledger.trees.store import TreeStore
from device_ledger.verify.check import DifferenceError

_PAGE: Final = 1_000


@dataclass(frozen=True)
class Signed:
    """Checkpoints of one log, by their size up to ``newest`` leaves, their signatures verified."""

    checkpoints: Iterator[Checkpoint]
    newest: int


def signed_in_file(path: Path, log: str, key: VerifierKey) -> Signed:
    """The checkpoints of a log in a file that holds one or many, of other logs too; those of other
    keys where the file has the hand-overs between.

    Raises:
        DifferenceError: one isn't signed by the key, or two of one size differ.
        NoteError: the file holds no checkpoint of the log.
        OSError, UnicodeDecodeError: it can't be read.
    """
    found: dict[int, Checkpoint] = {}
    notes = [
        note
        for note in split_notes(path.read_text("utf-8"))
        if log_of(parse_checkpoint(unverified_text(note)).origin) == log
    ]
    chain = KeyChain([key])
    chain.follow(notes)
    for note in notes:
        one = _verified(note, chain)
        if found.setdefault(one.size, one).root != one.root:
            raise DifferenceError(f"two checkpoints of {one.size} leaves were signed that differ")
    if not found:
        raise NoteError(f"{path} holds no checkpoint of the {log} log")
    return Signed(iter([found[size] for size in sorted(found)]), max(found))


def signed_here(trees: TreeStore, log: str, key: VerifierKey) -> Signed:
    """The checkpoints of a log that the relay keeps beside its tree.

    Raises:
        NoteError: there is none.
        TreeStoreError: the store can't be read.
    """
    newest = trees.newest_checkpoint(log)
    if newest is None:
        raise NoteError(f"nothing of the {log} log is signed yet")
    chain = KeyChain([key])
    chain.follow(trees.hand_overs(log))
    return Signed(_pages(trees, log, chain, newest.size), newest.size)


def _pages(trees: TreeStore, log: str, chain: KeyChain, newest: int) -> Iterator[Checkpoint]:
    above = -1
    while page := trees.checkpoints(log, above=above, up_to=newest, limit=_PAGE):
        yield from (_verified(one.note, chain) for one in page)
        above = page[-1].size


def _verified(note: str, chain: KeyChain) -> Checkpoint:
    try:
        return chain.open(note)
    except NoteError as error:
        size = parse_checkpoint(unverified_text(note)).size
        raise DifferenceError(f"the checkpoint of {size} leaves doesn't hold: {error}") from None
