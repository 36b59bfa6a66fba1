"""Bytes to be keyed or bound, and bytes as text: written once for tokens, seals and cursors."""

import binascii
from typing import Final

# What base64url has instead of two characters of base64; those themselves are none of its own.
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_+/", b"+/\0\0")


def strings(*parts: str | bytes) -> bytes:
    """Join parts so that no two different lists of parts give the same bytes.

    Each part is its length in bytes (unsigned, 32 bits, big-endian) and then the bytes, text as
    UTF-8: the ``string`` of RFC 4251, section 5.
    """
    joined = b""
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        joined += len(encoded).to_bytes(4, "big") + encoded
    return joined


def to_text(content: bytes) -> str:
    """Base64url without padding (RFC 4648, section 5)."""
    return binascii.b2a_base64(content, newline=False).translate(_TO_URL).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The bytes of ``to_text``, and of nothing else: one text for each content.

    Raises:
        ValueError: the text was not made by ``to_text``; the message doesn't repeat it.
    """
    try:
        content = binascii.a2b_base64(
            text.encode().translate(_FROM_URL) + b"=" * (-len(text) % 4), strict_mode=True
        )
    except (binascii.Error, UnicodeEncodeError):
        content = b""
    if not content or to_text(content) != text:
        raise ValueError("not base64url")
    return content
