"""Keyed hashes that stand for what must not be stored in the clear.

A token is HMAC-SHA-256 (RFC 2104, FIPS 198-1) under the token key of

    strings("device-ledger/token/v1", purpose, part, part, …)

where ``strings`` puts before each part its length (``encoding.strings``, after RFC 4251), as 43
characters of base64url without padding. The purpose keeps the kinds apart, the lengths keep the
parts apart: no two different inputs hash the same bytes. The token key is never rotated, because
events that are never rewritten carry its tokens.
"""

import hmac
import uuid
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from device_ledger.domain.values import is_uuid
from device_ledger.vault.encoding import strings, to_text

KEY_BYTES: Final = 32

_DOMAIN = "device-ledger/token/v1"
_IPV6_NETWORK_BYTES = 8


class TokenKey:
    """The secret key of all tokens. Neither its text nor its errors show it."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError("the token key must have 32 bytes")
        self._keyed = hmac.new(key, digestmod="sha256")

    def __repr__(self) -> str:
        return "TokenKey(…)"

    @property
    def id(self) -> str:
        """Sixteen hex digits that tell token keys apart and reveal nothing of the key."""
        return self._hash("key-id")[:8].hex()

    def device(self, device_id: str) -> str:
        """The token of a device, the same at every bank."""
        return to_text(self._hash("device", device_id))

    def phrase(self, bank_id: str, normalised_phrase: str) -> str:
        """The token of a phrase (in the form of ``normalise_phrase``) at a bank."""
        return to_text(self._hash("phrase", bank_id, normalised_phrase))

    def customer(self, bank_id: str, user_id: str) -> str:
        """The token of a bank's customer: the key of events that concern no device."""
        return to_text(self._hash("customer", bank_id, user_id))

    def address(self, ip: str) -> str:
        """The token of an IPv4 address, or of the /64 network of an IPv6 address.

        An IPv4 address mapped into IPv6 (``::ffff:192.0.2.1``) counts as IPv4.

        Raises:
            ValueError: this is no IP address; the message doesn't repeat it.
        """
        return to_text(self._hash("address", _network(ip)))

    def name(self, bank_id: str, user_id: str, name: str) -> str:
        """The token of the name that a customer's device goes by."""
        return to_text(self._hash("name", bank_id, user_id, name))

    def receipt(self, caller: str, method: str, path: str, key: str) -> str:
        """The token of an Idempotency-Key in its scope."""
        return to_text(self._hash("receipt", caller, method, path, key))

    def body(self, content: bytes) -> str:
        """The token of a request's body."""
        return to_text(self._hash("body", content))

    def user_id(self, bank_id: str, customer_id: str) -> str:
        """The user ID of a bank's customer, in lower case.

        It is the customer ID where that is a UUID (8-4-4-4-12), else a UUID of version 8
        (RFC 9562, section 5.8) made of the hash of bank and customer ID.
        """
        if is_uuid(customer_id):
            return customer_id.lower()
        number = int.from_bytes(self._hash("user-id", bank_id, customer_id)[:16], "big")
        number = number & ~(0xF << 76) | 8 << 76
        number = number & ~(0x3 << 62) | 2 << 62
        return str(uuid.UUID(int=number))

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for another purpose; it tells nothing of this one or of others."""
        return self._hash("derived-key", purpose)

    def _hash(self, purpose: str, *parts: str | bytes) -> bytes:
        # Not hmac.digest: that gives up the interpreter lock, and under load waits to get it back.
        keyed = self._keyed.copy()
        keyed.update(strings(_DOMAIN, purpose, *parts))
        return keyed.digest()


def _network(ip: str) -> bytes:
    """What an address is known by: 4 bytes of IPv4, or the first 8 of IPv6."""
    try:
        address: IPv4Address | IPv6Address = ip_address(ip)
    except ValueError:
        raise ValueError("not an IP address") from None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return address.packed[:_IPV6_NETWORK_BYTES]
        address = address.ipv4_mapped
    return address.packed
