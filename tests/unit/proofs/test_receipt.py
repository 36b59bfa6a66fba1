"""Receipts of an erasure, as an auditor checks them with the log's public key alone."""

import pytest

from device_ledger.proofs.note import NoteError, Signer, UntrustedNoteError, sign_note
from device_ledger.proofs.receipt import HEAD, ReceiptError, open_receipt, sign_receipt

SIGNER = Signer("ledger.example/log", bytes(range(32)))
STRANGER = Signer("ledger.example/log", bytes(32))
FIELDS = {"bankId": "bank-1", "customerId": "Zoë\n4711", "devices": 3, "actor": {"subject": "x"}}


def test_a_receipt_tells_its_fields_to_who_has_the_public_key() -> None:
    note = sign_receipt(FIELDS, [SIGNER])
    assert open_receipt(note, [SIGNER.verifier]) == FIELDS


def test_the_same_fields_give_the_same_receipt_in_whatever_order() -> None:
    turned = dict(reversed(FIELDS.items()))
    assert sign_receipt(turned, [SIGNER]) == sign_receipt(FIELDS, [SIGNER])


@pytest.mark.parametrize("change", [("bank-1", "bank-2"), ('"devices": 3', '"devices": 4')])
def test_a_receipt_that_was_changed_is_refused(change: tuple[str, str]) -> None:
    changed = sign_receipt(FIELDS, [SIGNER]).replace(*change)
    with pytest.raises(UntrustedNoteError):
        open_receipt(changed, [SIGNER.verifier])


def test_a_receipt_of_another_key_is_refused() -> None:
    with pytest.raises(UntrustedNoteError):
        open_receipt(sign_receipt(FIELDS, [STRANGER]), [SIGNER.verifier])


@pytest.mark.parametrize("text", ["log/1\n12\nAAAA\n", f"{HEAD}\n[]\n", f"{HEAD}\nnot json\n"])
def test_another_note_of_the_same_key_is_no_receipt(text: str) -> None:
    with pytest.raises(ReceiptError):
        open_receipt(sign_note(text, [SIGNER]), [SIGNER.verifier])


def test_what_is_no_note_is_refused() -> None:
    with pytest.raises(NoteError):
        open_receipt(HEAD, [SIGNER.verifier])
