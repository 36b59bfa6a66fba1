"""Bytes to be keyed or bound, and bytes as text: written once for tokens, seals and cursors."""

import base64
import binascii


def strings(*parts: str | bytes) -> bytes:
    """Join parts so that no two different lists of parts give the same bytes.

    Each part is its length in bytes (unsigned, 32 bits, big-endian) and then the bytes, text as
    UTF-8: the ``string`` of RFC 4251, section 5.
    """
    encoded = (part.encode() if isinstance(part, str) else part for part in parts)
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def to_text(content: bytes) -> str:
    """Base64url without padding (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The bytes of ``to_text``, and of nothing else: one text for each content.

    Raises:
        ValueError: the text was not made by ``to_text``; the message doesn't repeat it.
    """
    try:
        content = base64.b64decode(
            text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, UnicodeEncodeError):
        content = b""
    if not content or to_text(content) != text:
        raise ValueError("not base64url")
    return content
