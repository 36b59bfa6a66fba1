"""The embedded issuer: tokens for trying things out on one machine, without an identity provider.

Its key lies in ``HOME/keys/issuer.key`` (Ed25519, PKCS #8 PEM, 0600). The API believes it only
where ``DEVICE_LEDGER_EMBEDDED_ISSUER=1`` says so, and then serves on loopback addresses only.
"""

import ipaddress
import secrets
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from device_ledger.keyfile import write_once
from device_ledger.settings import DEV_ISSUER, Settings

Kind = Literal["bank", "merchant", "user", "admin", "security", "lead"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
LIFETIME_SECONDS_MAX: Final = 3600

_SCOPES: Final[Mapping[Kind, str]] = {
    "bank": "devices.manage",
    "merchant": "devices.lookup",
    "user": "https://api.banno.com/consumer/auth/devices.readwrite",
    "admin": "",
    "security": "security.audit",
    "lead": "security.audit security.manage",
}


class IssuerError(Exception):
    """The issuer's key can't be used or a token not be made; one line for the operator."""


class EmbeddedIssuer:
    """Signs tokens with the key of a home."""

    def __init__(self, settings: Settings, key: Ed25519PrivateKey) -> None:
        self._settings = settings
        self._key = key
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = sha256(raw).hexdigest()[:16]

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """The issuer of a home, its key made where there is none.

        Raises:
            IssuerError: the key can't be read or written.
        """
        path = settings.home / "keys" / "issuer.key"
        try:
            if not path.exists():
                _create(path)
            key = load_pem_private_key(path.read_bytes(), None)
        except OSError as error:
            raise IssuerError(f"cannot use the issuer's key {path}: {error.strerror}") from None
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise IssuerError(f"{path} is no Ed25519 key: remove it, and a new one is made")
        return cls(settings, key)

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key that verifies its tokens."""
        return self._key.public_key()

    def mint(
        self,
        kind: Kind,
        *,
        bank_id: str = "",
        merchant_id: str = "",
        user_id: str = "",
        scope: str | None = None,
        expires_seconds: int = LIFETIME_SECONDS_MAX,
    ) -> str:
        """A token of that kind of caller; ``scope`` replaces the scopes that the kind has.

        Raises:
            IssuerError: an ID that the kind needs is missing, or the lifetime isn't 1 to 3600 s.
        """
        if not 1 <= expires_seconds <= LIFETIME_SECONDS_MAX:
            raise IssuerError(f"a token lives 1 to {LIFETIME_SECONDS_MAX} seconds")
        now = int(time.time())
        claims = {
            "iss": DEV_ISSUER,
            "aud": self._settings.audience,
            "iat": now,
            "nbf": now,
            "exp": now + expires_seconds,
            "jti": secrets.token_hex(16),
            "sub": f"dev-{kind}",
            **self._identity(kind, bank_id, merchant_id, user_id, now),
            self._settings.claim_scope: _SCOPES[kind] if scope is None else scope,
        }
        return jwt.encode(claims, self._key, "EdDSA", {"kid": self.key_id})

    def _identity(
        self, kind: Kind, bank_id: str, merchant_id: str, user_id: str, now: int
    ) -> dict[str, Any]:
        names = self._settings
        if kind == "merchant":
            return {names.claim_merchant_id: _needed("merchant ID", merchant_id)}
        if kind in {"security", "lead"}:
            return {names.claim_bank_id: bank_id} if bank_id else {}
        claims: dict[str, Any] = {names.claim_bank_id: _needed("bank ID", bank_id)}
        if kind == "user":
            claims |= {names.claim_user_id: _needed("user ID", user_id), "auth_time": now}
        if kind == "admin":
            claims |= {names.claim_permissions: ["Manage security settings"], "auth_time": now}
        return claims


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that binds to this host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _needed(what: str, value: str) -> str:
    if not value:
        raise IssuerError(f"this kind of token needs a {what}")
    return value


def _create(path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    write_once(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
