"""Tokens that must not be believed, for an installation's embedded issuer."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from api.callers import LOOKUP, MANAGE
from device_ledger.issuer import EmbeddedIssuer
from device_ledger.settings import DEV_ISSUER
from tests.support.installation import Installation


def part(content: object) -> str:
    """A part of a token."""
    told = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(told).rstrip(b"=").decode()


class Forger:
    """Makes tokens for an issuer's key, good ones and others."""

    def __init__(self, api: Installation) -> None:
        self._issuer = EmbeddedIssuer.open(api.settings)
        self.key_id = self._issuer.key_id
        self.public = self._issuer.public_key
        self.now = int(time.time())

    def claims(self, **changed: Any) -> dict[str, Any]:
        """The claims of a bank and merchant at once; one changed to ``None`` is left out."""
        claims = {
            "iss": DEV_ISSUER,
            "aud": "device-ledger",
            "sub": "forger",
            "exp": self.now + 600,
            "scope": f"{MANAGE} {LOOKUP}",
            "bank_id": "bank-1",
            "merchant_id": "shop-1",
        } | changed
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, headers: Mapping[str, Any] | None = None, **changed: Any) -> str:
        """A token that the issuer's key has signed."""
        return self.raw(self.header(**(headers or {})), self.claims(**changed))

    def raw(self, header: object, payload: object, key: Ed25519PrivateKey | None = None) -> str:
        """A token of any two parts, signed by the issuer's key all the same, or another."""
        signed = f"{part(header)}.{part(payload)}"
        return f"{signed}.{part((key or self._issuer._key).sign(signed.encode()))}"

    def header(self, **more: Any) -> dict[str, Any]:
        """A token's header with more members."""
        return {"alg": "EdDSA", "typ": "JWT", "kid": self.key_id} | more

    def by_public_key(self) -> dict[str, str]:
        """Tokens that take the public key, in each of its forms, for an HMAC's secret."""
        jwk = get_default_algorithms()["EdDSA"].to_jwk(self.public)
        forms = {
            "raw": self.public.public_bytes(Encoding.Raw, PublicFormat.Raw),
            "JWK": jwk.encode(),
            "x": json.loads(jwk)["x"].encode(),
        }
        hs256 = {f"{alg} by {name}": _hmac(self, alg, secret) for name, secret in forms.items()
                 for alg in ("HS256", "HS384", "HS512")}  # fmt: skip
        pem = self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return hs256 | {"HS256 by PEM": _hmac(self, "HS256", pem)}

    def by_own_key(self) -> dict[str, str]:
        """Tokens that bring their key along."""
        own = Ed25519PrivateKey.generate()
        jwk = json.loads(get_default_algorithms()["EdDSA"].to_jwk(own.public_key()))
        kids: dict[str, Any] = {
            "theirs": self.key_id,
            "none": None,
            "path": "../../../../dev/null",
            "SQL": "' OR 1=1 --",
            "url": "https://evil.example/jwks",
            "empty": "",
            "long": "k" * 8000,
            "NUL": f"{self.key_id}\0",
        }
        brought: dict[str, dict[str, Any]] = {
            "jwk": {"jwk": jwk},
            "jku": {"jku": "http://127.0.0.1:1/jwks"},
            "x5u": {"x5u": "http://127.0.0.1:1/x5u"},
            "x5c": {"x5c": [part(b"certificate")]},
        }
        made = {f"kid {name}": {"kid": kid} for name, kid in kids.items()} | {
            name: members | {"kid": self.key_id} for name, members in brought.items()
        }
        return {
            name: self.raw(self.header(**headers), self.claims(), own)
            for name, headers in made.items()
        }

    def by_header(self) -> dict[str, str]:
        """Tokens whose signature would hold, if their header were believed."""
        claims = self.claims()
        members = _each("alg", None, "", "none", "RS256", "ES256", "PS256", "eddsa", 5, [])
        members |= _each("kid", 5, True, ["x"], {"a": 1})
        headers: dict[str, object] = {
            **{name: self.header(**one) for name, one in members.items()},
            "crit": self.header(crit=["exp"]),
            "no encoding": self.header(b64=False, crit=["b64"]),
            "zip": self.header(alg="dir", enc="A256GCM", zip="DEF"),
            "a list": [],
            "no JSON": b"{",
            "deep": b'{"a":' * 3000 + b"1" + b"}" * 3000,
            "no UTF-8": b'{"alg":"\xff"}',
        }
        return {f"header: {name}": self.raw(header, claims) for name, header in headers.items()}

    def by_payload(self) -> dict[str, str]:
        """Tokens that are signed well, and whose claims do not hold."""
        changed: dict[str, dict[str, Any]] = {
            **_each("exp", None, 0, -1, self.now - 1, "9999999999", []),
            **_each("nbf", self.now + 600, "0", []),
            **_each("aud", None, "", "other", [], ["other"], {}, 5),
            **_each("iss", None, "", "other", DEV_ISSUER + "/", [], 5),
            **_each("sub", None, "", 5, ["x"], "a\0b", "\u202e" * 3),
        }
        payloads: dict[str, object] = {
            "a text": "claims",
            "a list": [self.claims()],
            "NaN": b'{"exp":NaN,"iss":"x","aud":"device-ledger","sub":"s"}',
            "endless": b'{"exp":1e999,"iss":"x","aud":"device-ledger","sub":"s"}',
            "no JSON": b"exp",
            "empty": b"",
            "deep": b"[" * 10_000 + b"]" * 10_000,
            "another token": self.token().encode(),
        }
        return {name: self.token(**claims) for name, claims in changed.items()} | {
            f"payload: {name}": self.raw(self.header(), payload)
            for name, payload in payloads.items()
        }

    def torn(self) -> dict[str, str]:
        """Tokens that were taken apart."""
        good = self.token()
        head, payload, signature = good.split(".")
        other = self.token(sub="other").split(".")
        wider = part(self.claims(scope="security.manage"))
        return {
            "unsigned": f"{part(self.header(alg='none'))}.{payload}.",
            "None": f"{part(self.header(alg='None'))}.{payload}.{signature}",
            "no signature": f"{head}.{payload}.",
            "two parts": f"{head}.{payload}",
            "five parts": f"{good}.{payload}.{signature}",
            "nested": self.raw(self.header(cty="JWT"), good.encode()),
            "another's signature": f"{head}.{payload}.{other[2]}",
            "more scopes": f"{head}.{wider}.{signature}",
            "half a signature": good[: -len(signature) // 2],
            "a changed signature": good[:-10] + ("A" if good[-10] != "A" else "B") + good[-9:],
            "huge": good + "A" * 20_000,
            "huge claims": self.token(more="x" * 20_000),
            "dots": "." * 1000,
            "empty": "",
            "a space within": f"{head}.{payload} .{signature}",
        }

    def all(self) -> dict[str, str]:
        """All that must not be believed, by name."""
        kinds = (self.by_public_key, self.by_own_key, self.by_header, self.by_payload, self.torn)
        return {name: text for kind in kinds for name, text in kind().items()}


def _each(name: str, *values: object) -> dict[str, dict[str, Any]]:
    """A claim or member with each of these values."""
    return {f"{name} {value!a}": {name: value} for value in values}


def _hmac(forger: Forger, algorithm: str, secret: bytes) -> str:
    """As ``jwt.encode``, which refuses to sign with what looks like a public key."""
    signed = f"{part(forger.header(alg=algorithm))}.{part(forger.claims())}"
    digest = hmac.new(secret, signed.encode(), getattr(hashlib, f"sha{algorithm[2:]}")).digest()
    return f"{signed}.{part(digest)}"
