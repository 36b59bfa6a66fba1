"""Proofs that a log was not rewritten: usable by itself, with ``cryptography`` and nothing else.

Who holds a checkpoint of a log can make sure, without trusting the log's keeper, that a record is
in it (:func:`verify_inclusion`), that a later checkpoint has everything that this one had
(:func:`verify_consistency`), whichever keys the log was handed over to (:class:`KeyChain`), and
that a copy of all records is whole (:func:`root_of`, :class:`CompactRange`). Trees are those of
RFC 9162, checkpoints and notes those of C2SP (https://c2sp.org/tlog-checkpoint,
https://c2sp.org/signed-note).
"""

from device_ledger.proofs.checkpoint import (
    Checkpoint,
    CheckpointError,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    split_notes,
)
from device_ledger.proofs.growing import CompactRange
from device_ledger.proofs.handing_over import (
    HAND_OVER,
    HandOver,
    KeyChain,
    hand_over_line,
    hand_over_of,
)
from device_ledger.proofs.merkle import (
    EMPTY_ROOT,
    InvalidProofError,
    Nodes,
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
from device_ledger.proofs.note import (
    NoteError,
    Signer,
    UntrustedNoteError,
    VerifierKey,
    open_note,
    sign_note,
    unverified_text,
)

__all__ = [
    "EMPTY_ROOT",
    "HAND_OVER",
    "Checkpoint",
    "CheckpointError",
    "CompactRange",
    "HandOver",
    "InvalidProofError",
    "KeyChain",
    "Nodes",
    "NoteError",
    "Signer",
    "UntrustedNoteError",
    "VerifierKey",
    "consistency_path",
    "hand_over_line",
    "hand_over_of",
    "inclusion_path",
    "leaf_hash",
    "node_hash",
    "nodes_of",
    "open_checkpoint",
    "open_note",
    "parse_checkpoint",
    "root",
    "root_at",
    "root_of",
    "sign_checkpoint",
    "sign_note",
    "split_notes",
    "unverified_text",
    "verify_consistency",
    "verify_inclusion",
]
