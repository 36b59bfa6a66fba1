"""Checkpoints: signed notes that fix a log's size and root, as in C2SP tlog-checkpoint.

https://c2sp.org/tlog-checkpoint. The note's text is the log's *origin* (a name that no other log
has), the number of its leaves, the root's base64, and lines that a log may add::

    device-ledger/019a…/events
    12000
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
    last 48213
"""

from collections.abc import Sequence
from dataclasses import dataclass

from device_ledger.proofs.note import (
    NoteError,
    Signer,
    VerifierKey,
    from_base64,
    open_note,
    sign_note,
    to_base64,
    unverified_text,
)


class CheckpointError(NoteError):
    """A note's text is no checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: ``size`` leaves have the root ``root`` (32 bytes)."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note's text."""
        root = to_base64(self.root)
        return "".join(f"{line}\n" for line in (self.origin, self.size, root, *self.extensions))


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint from a note's text.

    Raises:
        CheckpointError: it is none.
    """
    origin, size, root, *extensions = _lines(text)
    if len(size) > 20 or not size.isascii() or not size.isdigit() or size != str(int(size)):
        raise CheckpointError("a checkpoint's second line is its number of leaves")
    try:
        content = from_base64(root)
    except NoteError:
        content = b""
    if len(content) != 32:
        raise CheckpointError("a checkpoint's third line is the base64 of 32 bytes")
    return Checkpoint(origin, int(size), content, tuple(extensions))


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() or not all(lines):
        raise CheckpointError("a checkpoint is three lines or more, none of them empty")
    return lines


def sign_checkpoint(checkpoint: Checkpoint, signers: Sequence[Signer]) -> str:
    """The signed note of a checkpoint."""
    return sign_note(checkpoint.text, signers)


def open_checkpoint(note: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint of a note that the log itself signed: one of the keys that has its name.

    Raises:
        UntrustedNoteError: none of these keys signed it, or a signature of one doesn't verify.
        NoteError: it is no signed checkpoint.
    """
    found = parse_checkpoint(unverified_text(note))
    # A signature doesn't cover the name beside it: the same key may sign for other logs.
    open_note(note, [key for key in keys if key.name == found.origin])
    return found


def split_notes(text: str) -> list[str]:
    """The notes of a file that holds them one after the other.

    A note ends with its signature lines: the first line after them begins the next.
    """
    notes: list[list[str]] = [[]]
    signed = False
    for line in text.splitlines(keepends=True):
        if signed and not line.startswith("— "):
            notes.append([])
        signed = line.startswith("— ")
        if notes[-1] or line.strip():
            notes[-1].append(line)
    return ["".join(note) for note in notes if note]
