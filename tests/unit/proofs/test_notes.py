"""Signed notes and checkpoints: the known example of the format, and whatever else is refused."""

import base64

import pytest

from device_ledger.proofs import (
    Checkpoint,
    CheckpointError,
    NoteError,
    Signer,
    UntrustedNoteError,
    VerifierKey,
    open_checkpoint,
    open_note,
    parse_checkpoint,
    sign_checkpoint,
    sign_note,
    split_notes,
)

# The example of https://pkg.go.dev/golang.org/x/mod/sumdb/note
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
QUOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NOTE = (
    f"{QUOTE}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqf"
    "qdngotpRZb6KE6RyyBwJnAM=\n"
)
LOG = Signer("example.org/events", bytes(range(32)))
WITNESS = Signer("example.org/witness", bytes(32))
CHECKPOINT = Checkpoint("example.org/events", 12, bytes(32), ("last 48213",))


def test_the_known_note_opens_with_its_key() -> None:
    key = VerifierKey.parse(PETER)
    assert (key.name, key.id.hex(), str(key)) == ("PeterNeumann", "c74f20a3", PETER)
    assert open_note(NOTE, [key]) == QUOTE


def test_a_note_of_two_signers_opens_with_the_key_of_either() -> None:
    note = sign_note("text\n", [LOG, WITNESS])
    for keys in ([LOG.verifier], [WITNESS.verifier], [LOG.verifier, WITNESS.verifier]):
        assert open_note(note, keys) == "text\n"


def test_a_note_that_no_trusted_key_signed_is_refused() -> None:
    with pytest.raises(UntrustedNoteError, match="none of the keys"):
        open_note(sign_note("text\n", [WITNESS]), [LOG.verifier])
    namesake = Signer(LOG.verifier.name, bytes(32))
    with pytest.raises(UntrustedNoteError, match="none of the keys"):
        open_note(sign_note("text\n", [namesake]), [LOG.verifier])


def test_one_bad_signature_of_a_trusted_key_is_refused_beside_a_good_one() -> None:
    good = sign_note("text\n", [WITNESS])
    bad = LOG.sign("other text\n")
    with pytest.raises(UntrustedNoteError, match=r"the signature of .* does not verify"):
        open_note(good + bad, [LOG.verifier, WITNESS.verifier])


def test_no_bit_of_a_note_can_be_changed() -> None:
    for place in range(len(NOTE.encode())):
        for bit in range(8):
            changed = bytearray(NOTE.encode())
            changed[place] ^= 1 << bit
            try:
                text = bytes(changed).decode()
            except UnicodeDecodeError:
                continue
            with pytest.raises(NoteError):
                open_note(text, [VerifierKey.parse(PETER)])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n— name\n",
        "text\n\n— name AAAA\n",
        "text\n\n— name AAAAAAAA",
        "text\n\n- name AAAAAAAA\n",
        "text\n\n— name ////////////\n\n",
        "te\0xt\n\n— name AAAAAAAA\n",
        "text\n\n" + "— name AAAAAAAA\n" * 101,
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(NoteError):
        open_note(note, [LOG.verifier])


@pytest.mark.parametrize("text", ["", "no end", "tab\t\n"])
def test_what_can_be_no_note_is_not_signed(text: str) -> None:
    with pytest.raises(NoteError):
        sign_note(text, [LOG])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000+",
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER.replace("PeterNeumann", "Peter"),
        "name+00000000+" + base64.b64encode(b"\x02" + bytes(32)).decode(),
        "name+00000000+" + base64.b64encode(b"\x01" + bytes(31)).decode(),
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


@pytest.mark.parametrize("name", ["", "with space", "a+b"])
def test_a_name_that_a_note_could_not_hold_is_refused(name: str) -> None:
    with pytest.raises(NoteError):
        Signer(name, bytes(32))


def test_a_checkpoint_has_the_lines_of_the_format() -> None:
    assert CHECKPOINT.text == (
        "example.org/events\n12\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nlast 48213\n"
    )


def test_a_signed_checkpoint_opens_to_what_it_was() -> None:
    assert open_checkpoint(sign_checkpoint(CHECKPOINT, [LOG]), [LOG.verifier]) == CHECKPOINT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log\n12\n",
        "log\n12\nAAAA\n",
        f"log\n12\n{'A' * 42}B=\n",
        f"log\n012\n{'A' * 43}=\n",
        f"log\n-1\n{'A' * 43}=\n",
        f"log\n{'9' * 5000}\n{'A' * 43}=\n",
        f"log\n12\n{'A' * 43}=",
        f"log\n12\n{'A' * 43}=\n\n",
        f"\n12\n{'A' * 43}=\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError):
        parse_checkpoint(text)


def test_a_file_of_notes_is_split_where_each_begins() -> None:
    notes = [sign_note("one\n", [LOG, WITNESS]), sign_note("two\n\nlines\n", [LOG])]
    assert split_notes("".join(notes)) == notes
    assert split_notes("\n".join(notes)) == notes
    assert split_notes("") == []


def test_a_checkpoint_of_another_log_is_refused_whatever_name_signs_it() -> None:
    # One key may sign for several names: what it signed for one is no word of the other.
    other = Checkpoint("example.org/access", 12, bytes(32))
    with pytest.raises(UntrustedNoteError):
        open_checkpoint(sign_checkpoint(other, [LOG]), [LOG.verifier, WITNESS.verifier])
