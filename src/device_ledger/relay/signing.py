"""Signing a log's checkpoints: never a tree that isn't the last signed one, grown."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from device_ledger.proofs import (
    Checkpoint,
    Nodes,
    NoteError,
    Signer,
    VerifierKey,
    hand_over_line,
    open_checkpoint,
    parse_checkpoint,
    root_at,
    sign_checkpoint,
    unverified_text,
)
from device_ledger.relay.tails import RelayRefusedError
from device_ledger.trees.names import position_line
from device_ledger.trees.store import Leaf, Standing, Stored, TreeStore

log = logging.getLogger(__name__)

LEAVES_BETWEEN: Final = 1_000
"""Leaves after which the next checkpoint is due."""
SECONDS_BETWEEN: Final = 10.0
"""Seconds after which it is due where the log has grown at all."""
BATCH_LEAVES: Final = 1_000
"""Leaves that are appended in one transaction, at most."""


class LogRefusedError(RelayRefusedError):
    """The tree of a log is not what was signed, or not what the log holds."""


def is_signed_by(note: str, key: VerifierKey) -> bool:
    """Whether a key signed a checkpoint."""
    try:
        open_checkpoint(note, [key])
    except NoteError:
        return False
    return True


class Signing:
    """Appends to the tree of one log, and signs it when that is due."""

    def __init__(
        self,
        store: TreeStore,
        log: str,
        signer: Signer | None,
        clock: Callable[[], float] = time.monotonic,
        *,
        extends: Checkpoint | None = None,
        before: Sequence[Signer] = (),
    ) -> None:
        """Without a signer the tree grows and nothing is signed. ``extends`` is a checkpoint of an
        earlier epoch that the tree must have grown from: one that tells of nothing that was lost.
        The one of ``before`` that signed last hands the log over, with the next checkpoint.
        """
        self._store = store
        self.log = log
        self._signer = signer
        self._extends = extends
        self._before = before
        self._from: Signer | None = None
        self._clock = clock
        self._signed: Checkpoint | None = None
        self._signed_at = float("-inf")

    def open(self) -> Standing:
        """Take up the newest checkpoint that is kept; where the tree stands.

        Raises:
            LogRefusedError: the tree isn't the one that was signed.
        """
        newest = self._store.newest_checkpoint(self.log)
        if self._signer is not None:
            self._from = self._hands_over(self._signer, newest)
            self._store.set_verifier(self.log, str((self._from or self._signer).verifier))
        standing = self._store.standing(self.log)
        self._signed = parse_checkpoint(unverified_text(newest.note)) if newest else self._extends
        # A tree that was lost is built anew; nothing is signed until it is as large as it was.
        if self._signed is not None and self._signed.size <= standing.size:
            self._expect_signed(self._store.nodes(self.log), self._signed)
        return standing

    def room(self, size: int) -> int:
        """How many leaves a tree of this size may get before its next checkpoint."""
        signed = self._signed.size if self._signed else 0
        if self._signer is None or size < signed:
            return BATCH_LEAVES
        return max(1, min(BATCH_LEAVES, signed + LEAVES_BETWEEN - size))

    def is_due(self, size: int) -> bool:
        """Whether a tree of this size is to be signed."""
        grown = size - (self._signed.size if self._signed else 0)
        if self._signer is None or grown <= 0:
            return False
        return grown >= LEAVES_BETWEEN or self._clock() - self._signed_at >= SECONDS_BETWEEN

    def append(self, before: Standing, leaves: Sequence[Leaf], position: int) -> Standing:
        """Add leaves to the tree, and sign it then, where that is due.

        Raises:
            LogRefusedError: the tree isn't the one that was signed; nothing was written.
            TreeStoreError: the database failed.
        """
        size = before.size + len(leaves)
        if self._signer is None or not self.is_due(size):
            return self._store.append(self.log, before, leaves, position)
        signer, made = self._signer, list[Checkpoint]()

        def make_note(nodes: Nodes) -> str:
            if self._signed is not None:
                self._expect_signed(nodes, self._signed)
            root = root_at(size, nodes)
            lines = [position_line(position)]
            signers = [signer]
            if self._from is not None:
                lines.append(hand_over_line(self._from.verifier, signer.verifier))
                signers.insert(0, self._from)
            made.append(Checkpoint(signer.verifier.name, size, root, tuple(lines)))
            return sign_checkpoint(made[-1], signers)

        after = self._store.append(self.log, before, leaves, position, make_note)
        self._signed, self._signed_at = made[-1], self._clock()
        if self._from is not None:
            log.warning("the %s log is handed over to %s", self.log, signer.verifier)
            self._from = None
            self._store.set_verifier(self.log, str(signer.verifier))
        return after

    def _hands_over(self, signer: Signer, newest: Stored | None) -> Signer | None:
        """Who hands the log over to the signer: whoever signed last, where that is another."""
        if newest is None or is_signed_by(newest.note, signer.verifier):
            return None
        for one in reversed(self._before):
            if is_signed_by(newest.note, one.verifier):
                return one
        log.error(
            "the %s log was signed by another key than this: without that key none is handed over,"
            " and verifiers refuse what is signed from now on",
            self.log,
        )
        return None

    def _expect_signed(self, nodes: Nodes, signed: Checkpoint) -> None:
        try:
            same = root_at(signed.size, nodes) == signed.root
        except IndexError:
            same = False
        if not same:
            raise LogRefusedError(
                f"the tree of the {self.log} log is not the one that was signed at {signed.size}"
                " leaves: nothing more is signed; restore HOME/log (or the event store's database)"
            )
