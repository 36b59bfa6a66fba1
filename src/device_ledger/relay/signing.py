"""Signing a log's checkpoints: never a tree that isn't the last signed one, grown."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from device_ledger.proofs import (
    Checkpoint,
    Nodes,
    Signer,
    parse_checkpoint,
    root_at,
    sign_checkpoint,
    unverified_text,
)
from device_ledger.relay.tails import RelayRefusedError
from device_ledger.trees.names import position_line
from device_ledger.trees.store import Leaf, Standing, TreeStore

LEAVES_BETWEEN: Final = 1_000
"""Leaves after which the next checkpoint is due."""
SECONDS_BETWEEN: Final = 10.0
"""Seconds after which it is due where the log has grown at all."""
BATCH_LEAVES: Final = 1_000
"""Leaves that are appended in one transaction, at most."""


class LogRefusedError(RelayRefusedError):
    """The tree of a log is not what was signed, or not what the log holds."""


class Signing:
    """Appends to the tree of one log, and signs it when that is due."""

    def __init__(
        self,
        store: TreeStore,
        log: str,
        signer: Signer | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without a signer the tree grows and nothing is signed."""
        self._store = store
        self.log = log
        self._signer = signer
        self._clock = clock
        self._signed: Checkpoint | None = None
        self._signed_at = float("-inf")

    def open(self) -> Standing:
        """Take up the newest checkpoint that is kept; where the tree stands.

        Raises:
            LogRefusedError: the tree isn't the one that was signed.
        """
        if self._signer is not None:
            self._store.set_verifier(self.log, str(self._signer.verifier))
        newest = self._store.newest_checkpoint(self.log)
        standing = self._store.standing(self.log)
        self._signed = parse_checkpoint(unverified_text(newest.note)) if newest else None
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
            lines = (position_line(position),)
            made.append(Checkpoint(signer.verifier.name, size, root, lines))
            return sign_checkpoint(made[-1], [signer])

        after = self._store.append(self.log, before, leaves, position, make_note)
        self._signed, self._signed_at = made[-1], self._clock()
        return after

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
