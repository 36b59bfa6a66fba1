"""Verifying bearer tokens (RFC 6750, RFC 7519): from the Authorization header to a ``Token``."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from api.errors import NOT_AUTHENTICATED, Refusal
from api.oidc import ALGORITHMS, IssuerAwayError, KeySet, KeySource
from device_ledger.settings import Settings

TOKEN_LENGTH_MAX: Final = 16_384
TOKENS_KEPT_MAX: Final = 10_000
CLOCK_SKEW_SECONDS: Final = 5
"""How far ahead the issuer's clock may be: a fresh token must not be refused for its ``nbf``."""
NAME_LENGTH_MAX: Final = 255
"""Characters of a subject (OpenID Connect Core 1.0, section 2) and of a client's name."""
_SECONDS_MAX: Final = 253_402_300_799  # the end of the year 9999
_OPTIONS: Final[Any] = {"require": ["exp", "iss", "aud", "sub"], "verify_iat": False}


@dataclass(frozen=True, slots=True)
class Token:
    """What a verified token says; a claim that is absent or no text is the empty string.

    ``expires_at`` and ``auth_time`` are seconds since 1970. ``claims_bank`` tells a token that has
    no claim of a bank from one whose claim is no text.
    """

    subject: str
    client: str
    bank_id: str
    claims_bank: bool
    merchant_id: str
    user_id: str
    scopes: frozenset[str]
    permissions: frozenset[str]
    acr: str
    auth_time: float | None
    expires_at: float


class Verifier:
    """Verifies tokens of one issuer and keeps those that it verified until they expire.

    Kept by their SHA-256, at most ``TOKENS_KEPT_MAX``, the longest unused going first. They are
    dropped when the issuer's key set changes, so that a withdrawn key's tokens go with it.
    """

    def __init__(self, settings: Settings, source: KeySource) -> None:
        self._settings = settings
        self._source = source
        self._kept: OrderedDict[bytes, tuple[str, str | None, Token]] = OrderedDict()
        self._kept_under: KeySet | None = None

    async def verify(self, authorization: list[bytes]) -> Token:
        """The token of a request's Authorization headers.

        Raises:
            Refusal: 401, there is none or it doesn't hold; 503, the issuer can't be reached.
        """
        text = _bearer(authorization)
        digest = hashlib.sha256(text).digest()
        kept = self._kept.get(digest)
        algorithm, key_id = kept[:2] if kept else _header(text)
        keys = await self._keys(algorithm, key_id)
        if keys is not self._kept_under:
            self._kept.clear()
            self._kept_under, kept = keys, None
        if kept is not None and time.time() < kept[2].expires_at:
            self._kept.move_to_end(digest)
            return kept[2]
        token = self._decode(text, keys.find(algorithm, key_id), algorithm)
        self._kept[digest] = (algorithm, key_id, token)
        if len(self._kept) > TOKENS_KEPT_MAX:
            self._kept.popitem(last=False)
        return token

    async def _keys(self, algorithm: str, key_id: str | None) -> KeySet:
        try:
            return await self._source.keys(algorithm, key_id)
        except IssuerAwayError:
            raise Refusal(
                503, "issuer-away", "Tokens can't be checked right now", {"Retry-After": "10"}
            ) from None

    def _decode(self, text: bytes, key: Any | None, algorithm: str) -> Token:
        if key is None:
            raise _bad_token()
        try:
            claims = jwt.decode(
                text,
                key,
                [algorithm],
                _OPTIONS,
                audience=self._settings.audience,
                issuer=self._source.issuer,
                leeway=CLOCK_SKEW_SECONDS,
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise _bad_token() from None
        token = _read_claims(claims, self._settings)
        if token.expires_at <= time.time():
            raise _bad_token()
        return token


def _bearer(authorization: list[bytes]) -> bytes:
    if not authorization:
        raise Refusal(401, "no-token", NOT_AUTHENTICATED, {"WWW-Authenticate": "Bearer"})
    scheme, _, text = authorization[0].partition(b" ")
    text = text.strip()
    if len(authorization) > 1 or scheme.lower() != b"bearer" or len(text) > TOKEN_LENGTH_MAX:
        raise _bad_token()
    return text


def _header(text: bytes) -> tuple[str, str | None]:
    """Algorithm and key ID. Nothing else of the header is believed: no ``jwk``, no ``jku``."""
    try:
        header = jwt.get_unverified_header(text)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise _bad_token() from None
    algorithm, key_id = str(header.get("alg")), header.get("kid")
    if algorithm not in ALGORITHMS or not isinstance(key_id, str | None) or "crit" in header:
        raise _bad_token()
    return algorithm, key_id


def _bad_token() -> Refusal:
    return Refusal(
        401,
        "bad-token",
        "The bearer token is not valid",
        {"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


def _read_claims(claims: Mapping[str, Any], settings: Settings) -> Token:
    subject, client = claims["sub"], _text(claims.get(settings.claim_client))
    expires_at = _seconds(claims["exp"])
    if expires_at is None or _seconds(claims.get("nbf", 0)) is None:
        raise _bad_token()
    if not subject or not (_is_name(subject) and _is_name(client)):
        raise _bad_token()
    return Token(
        subject=subject,
        client=client,
        bank_id=_text(claims.get(settings.claim_bank_id)),
        claims_bank=settings.claim_bank_id in claims,
        merchant_id=_text(claims.get(settings.claim_merchant_id)),
        user_id=_text(claims.get(settings.claim_user_id)),
        scopes=_words(claims.get(settings.claim_scope)),
        permissions=_phrases(claims.get(settings.claim_permissions)),
        acr=_text(claims.get("acr")),
        auth_time=_seconds(claims.get("auth_time")),
        expires_at=expires_at,
    )


def _seconds(claim: object) -> float | None:
    """A time as RFC 7519 has it: a number, seconds since 1970; what isn't one is ``None``."""
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        return None
    return float(claim) if 0 <= claim <= _SECONDS_MAX else None


def _is_name(text: str) -> bool:
    """Whether events can carry it as who acted."""
    return len(text) <= NAME_LENGTH_MAX and text.isprintable()


def _text(claim: object) -> str:
    return claim if isinstance(claim, str) else ""


def _words(claim: object) -> frozenset[str]:
    """Scopes: one text with spaces between (RFC 6749) or a list of them."""
    if isinstance(claim, str):
        return frozenset(claim.split())
    return _phrases(claim)


def _phrases(claim: object) -> frozenset[str]:
    """Permissions, which may hold spaces: a list, or one text with commas between."""
    if isinstance(claim, str):
        return frozenset(part.strip() for part in claim.split(",") if part.strip())
    if isinstance(claim, list):
        return frozenset(part for part in claim if isinstance(part, str))
    return frozenset()
