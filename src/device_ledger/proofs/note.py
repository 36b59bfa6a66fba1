"""Signed notes: text that names who signed it, as in C2SP signed-note.

https://c2sp.org/signed-note. A note is text that ends with a newline, an empty line, and one
signature line for each signer::

    — <key name> <base64 of 4 bytes of key ID and the signature>

A *verifier key* is the text ``<key name>+<key ID in hex>+<base64 of 0x01 and the public key>``.
Only Ed25519 signatures (type 0x01) are verified; others are passed over.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ED25519 = b"\x01"
KEY_BYTES = 32
ID_BYTES = 4
SIGNATURES_MAX = 100
"""Signature lines that are read of a note; more are refused."""

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NoteError(ValueError):
    """These are no signed note's bytes, or not one signed by a key that is trusted."""


class UntrustedNoteError(NoteError):
    """The note isn't signed by any of the keys, or the signature of one doesn't verify."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A name and the Ed25519 public key (32 bytes) that goes with it."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(letter.isspace() for letter in self.name):
            raise NoteError("a key's name is text without spaces or plus signs")
        if len(self.public) != KEY_BYTES:
            raise NoteError("an Ed25519 public key has 32 bytes")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key.

        Raises:
            NoteError: it is none, of another kind, or its ID is not its key's.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        content = from_base64(encoded)
        if content[:1] != ED25519:
            raise NoteError("not a verifier key of Ed25519: NAME+ID+KEY")
        key = cls(name, content[1:])
        if key.id.hex() != key_id:
            raise NoteError("the verifier key's ID is not that of its name and key")
        return key

    @property
    def id(self) -> bytes:
        """The four bytes that a signature line names the key by."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{to_base64(ED25519 + self.public)}"

    def verify(self, signature: bytes, text: bytes) -> None:
        """Make sure that this key signed the text.

        Raises:
            UntrustedNoteError: it did not.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            raise UntrustedNoteError(f"the signature of {self.name} does not verify") from None


class Signer:
    """A name and the Ed25519 key that signs in it."""

    def __init__(self, name: str, seed: bytes) -> None:
        """``seed`` is the private key's 32 bytes (RFC 8032)."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.verifier = VerifierKey(name, public)

    def sign(self, text: str) -> str:
        """The signature line over a note's text."""
        signature = self.verifier.id + self._key.sign(text.encode())
        return f"— {self.verifier.name} {to_base64(signature)}\n"


def sign_note(text: str, signers: Sequence[Signer]) -> str:
    """The note of a text that ends with a newline, with a line of each signer.

    Raises:
        NoteError: the text has no newline at its end, or control characters.
    """
    if not text.endswith("\n") or _CONTROL.search(text):
        raise NoteError("a note's text ends with a newline and has no control characters")
    return text + "\n" + "".join(signer.sign(text) for signer in signers)


def open_note(note: str, keys: Sequence[VerifierKey]) -> str:
    """The text of a note that at least one of the keys signed.

    Lines of other signers are passed over; one of these keys that doesn't verify is refused.

    Raises:
        UntrustedNoteError: none of the keys signed it, or a signature of one doesn't verify.
        NoteError: it is no signed note.
    """
    text, lines = _parts(note)
    trusted = {(key.name, key.id): key for key in keys}
    signed = False
    for line in lines:
        name, signature = _signature(line)
        key = trusted.get((name, signature[:ID_BYTES]))
        if key is not None:
            key.verify(signature[ID_BYTES:], text.encode())
            signed = True
    if not signed:
        raise UntrustedNoteError("none of the keys signed the note")
    return text


def unverified_text(note: str) -> str:
    """The text of a note whose signatures nobody looked at: for notes that one keeps oneself.

    Raises:
        NoteError: it is no signed note.
    """
    return _parts(note)[0]


def _parts(note: str) -> tuple[str, list[str]]:
    text, gap, signatures = note.rpartition("\n\n")
    if not gap or not signatures.endswith("\n") or _CONTROL.search(note):
        raise NoteError("not a signed note: text, an empty line, signature lines")
    lines = signatures[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NoteError("the note has too many signatures")
    return text + "\n", lines


def _signature(line: str) -> tuple[str, bytes]:
    head, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    signature = from_base64(encoded)
    if head != "—" or not name or len(signature) <= ID_BYTES:
        raise NoteError("a signature line is: — NAME SIGNATURE")
    return name, signature


def to_base64(content: bytes) -> str:
    """Its one standard base64 (RFC 4648, section 4)."""
    return base64.b64encode(content).decode()


def from_base64(text: str) -> bytes:
    """What base64 says.

    Raises:
        NoteError: it says nothing, or has spare bits set: other letters for the same bytes.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("not base64") from None
    if to_base64(content) != text:
        raise NoteError("not canonical base64")
    return content
