"""The keys that callers' tokens are signed with: of an OIDC issuer, or of the embedded one."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger(__name__)

ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = {
    "RS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""Each algorithm that is accepted, with the key type and curve that it needs (RFC 7518, 8037)."""

RSA_BITS_MIN: Final = 2048
KEYS_MAX: Final = 100
FRESH_SECONDS: Final = 300
"""How long a key set is used before it is fetched again, so that withdrawn keys go."""
COOLDOWN_SECONDS: Final = 10
"""Least time between two requests to the issuer, whatever key IDs callers make up."""


class IssuerAwayError(Exception):
    """No key set of the issuer could be had yet; the message says why, for the operator."""


class MalformedAnswerError(ValueError):
    """The issuer answered something else than its documents should be."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys that verify signatures, by algorithm and key ID. A new object is a changed set."""

    keys: Mapping[tuple[str, str], Any] = field(default_factory=dict)

    def find(self, algorithm: str, key_id: str | None) -> Any | None:
        """The key of a token's header; without a key ID, the only key of its algorithm."""
        if key_id is not None:
            return self.keys.get((algorithm, key_id))
        fitting = [key for (name, _), key in self.keys.items() if name == algorithm]
        return fitting[0] if len(fitting) == 1 else None


class KeySource(Protocol):
    """Where the verifying keys come from."""

    issuer: str

    async def keys(self, algorithm: str, key_id: str | None) -> KeySet:
        """The key set to look the key up in, fetched again where that may help.

        Raises:
            IssuerAwayError: there is none yet.
        """


class EmbeddedKeys:
    """The one key of the embedded issuer."""

    def __init__(self, issuer: str, key_id: str, key: Ed25519PublicKey) -> None:
        self.issuer = issuer
        self._keys = KeySet({("EdDSA", key_id): key})

    async def keys(self, _algorithm: str, _key_id: str | None) -> KeySet:
        """The key set, always the same."""
        return self._keys


class OidcKeys:
    """The keys of an OIDC issuer, found through its discovery document and kept.

    A key set older than ``FRESH_SECONDS``, or without the key asked for, is fetched again, by one
    request at a time and at most every ``COOLDOWN_SECONDS``. While the issuer is away the last
    set goes on being used.
    """

    def __init__(self, issuer: str, client: "httpx.AsyncClient") -> None:
        self.issuer = issuer
        self._client = client
        self._keys: KeySet | None = None
        self._jwks: list[Any] = []
        self._fetched_at = -float("inf")
        self._tried_at = -float("inf")
        self._failure = "not asked yet"
        self._fetching = asyncio.Lock()

    async def keys(self, algorithm: str, key_id: str | None) -> KeySet:
        """The key set to look the key up in (see ``KeySource``)."""
        if self._lacks(algorithm, key_id):
            # Whoever comes while it is fetched waits for it.
            async with self._fetching:
                if self._lacks(algorithm, key_id) and self._may_ask():
                    await self._fetch()
        elif self._is_stale() and self._may_ask():
            await self._fetch()
        if self._keys is None:
            raise IssuerAwayError(self._failure)
        return self._keys

    def _lacks(self, algorithm: str, key_id: str | None) -> bool:
        return self._keys is None or self._keys.find(algorithm, key_id) is None

    def _is_stale(self) -> bool:
        return time.monotonic() - self._fetched_at > FRESH_SECONDS

    def _may_ask(self) -> bool:
        return time.monotonic() - self._tried_at >= COOLDOWN_SECONDS

    async def _fetch(self) -> None:
        import httpx

        self._tried_at = time.monotonic()
        try:
            jwks = await self._read_jwks()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            self._failure = f"{type(error).__name__}: {error}"
            _log.warning("the issuer's keys could not be read: %s", self._failure)
            return
        self._fetched_at = time.monotonic()
        if self._keys is None or jwks != self._jwks:
            self._jwks, self._keys = jwks, read_key_set(jwks)

    async def _read_jwks(self) -> list[Any]:
        place = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        document = await self._get(place)
        if document.get("issuer") != self.issuer:
            raise MalformedAnswerError(f"{place} names another issuer")
        address = document.get("jwks_uri")
        if not isinstance(address, str) or urlsplit(address).scheme not in ("http", "https"):
            raise MalformedAnswerError(f"{place} names no jwks_uri")
        if urlsplit(self.issuer).scheme == "https" and urlsplit(address).scheme != "https":
            raise MalformedAnswerError("the jwks_uri of an https issuer must be https")
        keys = (await self._get(address)).get("keys")
        if not isinstance(keys, list):
            raise MalformedAnswerError(f"{address} is no JWKS")
        return keys[:KEYS_MAX]

    async def _get(self, address: str) -> dict[str, Any]:
        response = await self._client.get(address)
        response.raise_for_status()
        content = response.json()
        if not isinstance(content, dict):
            raise MalformedAnswerError(f"{address} is no JSON object")
        return content


def read_key_set(jwks: Iterable[Any]) -> KeySet:
    """The keys of a JWKS that verify signatures of ours; all others are left out.

    Keys for encryption, of other algorithms, RSA keys below 2048 bits and broken ones don't fit.
    """
    keys: dict[tuple[str, str], Any] = {}
    for number, jwk in enumerate(jwks):
        if not isinstance(jwk, dict) or not _verifies(jwk):
            continue
        algorithm = _algorithm_of(jwk)
        if algorithm is None:
            continue
        try:
            key = PyJWK(jwk, algorithm).key
        except PyJWTError:
            continue
        if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_MIN:
            continue
        key_id = jwk.get("kid")
        keys.setdefault((algorithm, key_id if isinstance(key_id, str) else f"\0{number}"), key)
    return KeySet(keys)


def _verifies(jwk: Mapping[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    private = "d" in jwk or "k" in jwk
    return (
        jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and not private
    )


def _algorithm_of(jwk: Mapping[str, Any]) -> str | None:
    """The one algorithm that a key is for, by its type and curve; ``alg``, where given, agrees."""
    for algorithm, (key_type, curve) in ALGORITHMS.items():
        fits = jwk.get("kty") == key_type and curve in (None, jwk.get("crv"))
        if fits and jwk.get("alg", algorithm) == algorithm:
            return algorithm
    return None
