"""Ledger positions as callers carry them: opaque, and refused where they are not ours.

A position says for each partition the last event ID that it covers. Its text is AES-SIV
(RFC 5297) of

    version (1 byte, 1) · for each partition, in order: its distance to the one before · event ID

(unsigned LEB128 each), bound to the ledger's ID and epoch. SIV needs no nonce: a position goes
out with every answer, and random nonces of AES-GCM are good for 2^32 messages a key only.
"""

from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from device_ledger.vault.encoding import from_text, to_text

TEXT_LENGTH_MAX: Final = 4096
"""Longer than the position of any ledger (256 partitions of 64-bit IDs) and shorter than a header
may be."""

_DOMAIN = b"device-ledger/position/v1"
_VERSION = b"\x01"


class UnknownPositionError(Exception):
    """A position that this ledger never gave; the message doesn't repeat it."""

    def __init__(self) -> None:
        super().__init__("this is no position of this ledger")


class PositionCodec:
    """Positions of one ledger and epoch, as text and back."""

    def __init__(self, key: bytes, ledger_id: str, epoch: int) -> None:
        """Take a key of 32 bytes, best derived from the token key."""
        self._cipher = AESSIV(key)
        self._bound = [_DOMAIN, ledger_id.encode(), str(epoch).encode()]
        self._last: tuple[dict[int, int], str] = ({}, self._encode({}))

    def encode(self, position: Mapping[int, int]) -> str:
        """The text of a position, ``{partition: last event ID}``; the same one each time."""
        # Reads show the same position until the next event.
        known, text = self._last
        if position != known:
            text = self._encode(position)
            self._last = (dict(position), text)
        return text

    def _encode(self, position: Mapping[int, int]) -> str:
        content = bytearray(_VERSION)
        before = 0
        for partition in sorted(position):
            _append(content, partition - before)
            _append(content, position[partition])
            before = partition
        return to_text(self._cipher.encrypt(bytes(content), self._bound))

    def decode(self, text: str) -> dict[int, int]:
        """The position of ``encode``.

        Raises:
            UnknownPositionError: it was given by another ledger or epoch, or by nobody.
        """
        if len(text) > TEXT_LENGTH_MAX:
            raise UnknownPositionError
        try:
            content = self._cipher.decrypt(from_text(text), self._bound)
        except (ValueError, InvalidTag):
            raise UnknownPositionError from None
        if content[:1] != _VERSION:
            raise UnknownPositionError
        numbers = _numbers(content[1:])
        position: dict[int, int] = {}
        partition = 0
        for distance, event_id in zip(numbers[::2], numbers[1::2], strict=True):
            partition += distance
            position[partition] = event_id
        return position


def _append(content: bytearray, number: int) -> None:
    """Write an unsigned LEB128 number: 7 bits a byte, lowest first."""
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    content.append(number)


def _numbers(content: bytes) -> list[int]:
    numbers = []
    number = shift = 0
    for byte in content:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            numbers.append(number)
            number = shift = 0
    return numbers
