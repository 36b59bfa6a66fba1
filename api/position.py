"""Ledger positions as callers carry them: opaque, and refused where they are not ours.

A position says for each partition the last event ID that it covers. Its text is AES-SIV
(RFC 5297) of

    version (1 byte, 1) · for each partition, in order: its distance to the one before · event ID

(unsigned LEB128 each), bound to the ledger's ID and epoch. One of an earlier epoch is as good as
before where all that it covers was kept. SIV needs no nonce: a position goes
out with every answer, and random nonces of AES-GCM are good for 2^32 messages a key only.
"""

from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from device_ledger.vault.encoding import from_text, to_text
from projections.readers import covers

TEXT_LENGTH_MAX: Final = 4096
"""Longer than the position of any ledger (256 partitions of 64-bit IDs) and shorter than a header
may be."""

_DOMAIN = b"device-ledger/position/v1"
_VERSION = b"\x01"


class UnknownPositionError(Exception):
    """A position that this ledger never gave; the message doesn't repeat it."""

    def __init__(self) -> None:
        super().__init__("this is no position of this ledger")


class LostPositionError(Exception):
    """A position of an earlier epoch that covers commands which were lost in a restore."""

    def __init__(self) -> None:
        super().__init__(
            "this position covers commands that were lost when the ledger was restored"
        )


class PositionCodec:
    """Positions of one ledger, as text and back."""

    def __init__(
        self, key: bytes, ledger_id: str, epoch: int, kept: Mapping[int, Mapping[int, int]] = {}
    ) -> None:
        """Take a key of 32 bytes, best derived from the token key; positions are given in an epoch.
        ``kept`` has, for each earlier one, the last event of each partition that was kept of it.
        """
        self._cipher = AESSIV(key)
        self._bound = _bound(ledger_id, epoch)
        self._kept = [(_bound(ledger_id, past), heads) for past, heads in sorted(kept.items())]
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
            UnknownPositionError: it was given by another ledger, or by nobody.
            LostPositionError: it was given in an earlier epoch and covers what was lost since.
        """
        if len(text) > TEXT_LENGTH_MAX:
            raise UnknownPositionError
        try:
            sealed = from_text(text)
        except ValueError:
            raise UnknownPositionError from None
        position = self._opened(sealed, self._bound)
        return self._of_an_earlier_epoch(sealed) if position is None else position

    def _of_an_earlier_epoch(self, sealed: bytes) -> dict[int, int]:
        for number, (bound, _) in enumerate(self._kept):
            position = self._opened(sealed, bound)
            if position is not None:
                if all(covers(heads, position) for _, heads in self._kept[number:]):
                    return position
                raise LostPositionError
        raise UnknownPositionError

    def _opened(self, sealed: bytes, bound: list[bytes]) -> dict[int, int] | None:
        try:
            content = self._cipher.decrypt(sealed, bound)
        except (ValueError, InvalidTag):
            return None
        if content[:1] != _VERSION:
            raise UnknownPositionError
        numbers = _numbers(content[1:])
        position: dict[int, int] = {}
        partition = 0
        for distance, event_id in zip(numbers[::2], numbers[1::2], strict=True):
            partition += distance
            position[partition] = event_id
        return position


def _bound(ledger_id: str, epoch: int) -> list[bytes]:
    return [_DOMAIN, ledger_id.encode(), str(epoch).encode()]


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
