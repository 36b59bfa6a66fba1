"""Cursors of lists: where a page ended, sealed and bound to the question that it belongs to.

A cursor is base64url of AES-SIV (RFC 5297) of the JSON array of the last row's sort values, with
the question's parts (bank, filter, sort, …) as associated data, each its own component.
"""

from collections.abc import Sequence
from typing import Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from device_ledger.vault.encoding import from_text, to_text

TEXT_LENGTH_MAX: Final = 4096

_DOMAIN = b"device-ledger/cursor/v1"


class UnknownCursorError(Exception):
    """A cursor that was never given for this question; the message doesn't repeat it."""

    def __init__(self) -> None:
        super().__init__("this is no cursor of this list")


class CursorCodec:
    """Cursors as text and back."""

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 bytes, best derived from the token key."""
        self._cipher = AESSIV(key)

    def encode(self, values: Sequence[str | int], question: Sequence[str]) -> str:
        """The cursor after a row with these sort values, for this question only.

        ``question`` has at most 100 parts, in an order of the caller's choice.
        """
        return to_text(self._cipher.encrypt(orjson.dumps(list(values)), _bound(question)))

    def decode(self, text: str, question: Sequence[str]) -> list[str | int]:
        """The sort values of ``encode``.

        Raises:
            UnknownCursorError: it was given for another question, or by nobody.
        """
        if len(text) > TEXT_LENGTH_MAX:
            raise UnknownCursorError
        try:
            content = self._cipher.decrypt(from_text(text), _bound(question))
        except (ValueError, InvalidTag):
            raise UnknownCursorError from None
        values: list[str | int] = orjson.loads(content)
        return values


def _bound(question: Sequence[str]) -> list[bytes]:
    return [_DOMAIN, *(part.encode() for part in question)]
