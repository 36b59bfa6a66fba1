"""A real OIDC issuer on loopback: discovery document, key set, tokens."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

Algorithm = Literal["RS256", "ES256", "EdDSA"]
AUDIENCE = "device-ledger"


class Issuer:
    """Signs tokens and serves the keys that verify them. ``asked`` counts its requests."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.jwks: list[dict[str, Any]] = []
        self.is_away = False
        self.url = ""
        self.named: str | None = None
        self._keys: dict[str, tuple[Algorithm, Any]] = {}

    def add_key(self, key_id: str, algorithm: Algorithm, **members: Any) -> None:
        """Make a key and put it into the key set; ``members`` are added to its JWK."""
        key: Any
        match algorithm:
            case "RS256":
                key = rsa.generate_private_key(65537, 2048)
            case "ES256":
                key = ec.generate_private_key(ec.SECP256R1())
            case "EdDSA":
                key = ed25519.Ed25519PrivateKey.generate()
        self._keys[key_id] = (algorithm, key)
        jwk = json.loads(get_default_algorithms()[algorithm].to_jwk(key.public_key()))
        self.jwks.append(jwk | {"kid": key_id} | members)

    def key(self, key_id: str) -> Any:
        """A private key."""
        return self._keys[key_id][1]

    def claims(self, **changed: Any) -> dict[str, Any]:
        """A bank's claims, good for a minute; a claim changed to ``None`` is left out."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.named or self.url,
            "aud": AUDIENCE,
            "sub": "service-1",
            "azp": "client-1",
            "iat": now,
            "nbf": now,
            "exp": now + 60,
            "scope": "devices.manage",
            "bank_id": "bank-1",
        }
        claims |= changed
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, key_id: str, headers: dict[str, Any] | None = None, **changed: Any) -> str:
        """A token signed by one of its keys."""
        algorithm, key = self._keys[key_id]
        return jwt.encode(self.claims(**changed), key, algorithm, {"kid": key_id} | (headers or {}))


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """Serve an issuer until the block ends."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            documents: dict[str, Any] = {
                "/.well-known/openid-configuration": {
                    "issuer": issuer.named or issuer.url,
                    "jwks_uri": f"{issuer.url}/jwks",
                },
                "/jwks": {"keys": issuer.jwks},
            }
            found = None if issuer.is_away else documents.get(self.path)
            content = json.dumps(found).encode()
            self.send_response(503 if found is None else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A token with ``alg`` as its header says and no signature."""
    parts = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (header, claims)
    )
    return ".".join(parts) + "."
