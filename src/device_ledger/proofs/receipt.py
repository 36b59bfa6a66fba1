"""Receipts of an erasure: signed notes that say whose data can't be opened any more.

A receipt's note is the text ::

    device-ledger erasure receipt v1
    {"actor": {"client": "console", "subject": "lead-1"}, "bankId": "bank-1", …}

in the form of C2SP signed-note (https://c2sp.org/signed-note), signed by the log's key. The second
line is a JSON object; its fields are those of ``POST /v1/security/customers/erase``. It names a
position of the ledger and no checkpoint: it stands for itself.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from device_ledger.proofs.note import NoteError, Signer, VerifierKey, open_note, sign_note

HEAD = "device-ledger erasure receipt v1"
"""The first line of each; no log has it as its origin."""


class ReceiptError(NoteError):
    """A note's text is no receipt."""


def sign_receipt(content: Mapping[str, Any], signers: Sequence[Signer]) -> str:
    """The signed note of a receipt's fields; the same fields and key give the same note."""
    return sign_note(f"{HEAD}\n{json.dumps(content, sort_keys=True)}\n", signers)


def open_receipt(note: str, keys: Sequence[VerifierKey]) -> dict[str, Any]:
    """The fields of a receipt that one of the keys signed.

    Raises:
        UntrustedNoteError: none of the keys signed it, or a signature of one doesn't verify.
        NoteError: it is no signed receipt.
    """
    head, _, line = open_note(note, keys).partition("\n")
    if head != HEAD:
        raise ReceiptError(f"a receipt's first line is: {HEAD}")
    try:
        content = json.loads(line)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ReceiptError("a receipt's second line is a JSON object")
    return content
