"""The embedded issuer."""

import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest

from device_ledger.issuer import EmbeddedIssuer, IssuerError, is_loopback
from device_ledger.settings import Settings


def claims_of(issuer: EmbeddedIssuer, token: str) -> dict[str, object]:
    return jwt.decode(
        token,
        issuer.public_key,
        ["EdDSA"],
        audience="device-ledger",
        issuer="urn:device-ledger:dev",
    )


@pytest.fixture
def issuer(tmp_path: Path) -> EmbeddedIssuer:
    return EmbeddedIssuer.open(Settings(home=tmp_path))


def test_its_key_is_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "new")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: EmbeddedIssuer.open(settings).key_id, range(8)))
    assert len(set(found)) == 1
    [key] = (tmp_path / "new" / "keys").iterdir()
    assert (key.name, stat.S_IMODE(key.stat().st_mode)) == ("issuer.key", 0o600)


def test_a_broken_key_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "issuer.key").write_text("no key")
    with pytest.raises(IssuerError, match="is no Ed25519 key"):
        EmbeddedIssuer.open(Settings(home=tmp_path))


def test_a_token_says_what_its_kind_may(issuer: EmbeddedIssuer) -> None:
    readwrite = "https://api.banno.com/consumer/auth/devices.readwrite"
    told = {
        "bank": claims_of(issuer, issuer.mint("bank", bank_id="b")),
        "merchant": claims_of(issuer, issuer.mint("merchant", merchant_id="m")),
        "user": claims_of(issuer, issuer.mint("user", bank_id="b", user_id="u")),
        "admin": claims_of(issuer, issuer.mint("admin", bank_id="b")),
        "security": claims_of(issuer, issuer.mint("security")),
        "lead": claims_of(issuer, issuer.mint("lead", bank_id="b")),
    }
    timed = ("iat", "nbf", "exp", "auth_time", "jti", "iss", "aud")
    assert {
        kind: {name: value for name, value in claims.items() if name not in timed}
        for kind, claims in told.items()
    } == {
        "bank": {"sub": "dev-bank", "bank_id": "b", "scope": "devices.manage"},
        "merchant": {"sub": "dev-merchant", "merchant_id": "m", "scope": "devices.lookup"},
        "user": {"sub": "u", "bank_id": "b", "scope": readwrite},
        "admin": {
            "sub": "dev-admin",
            "bank_id": "b",
            "permissions": ["Manage security settings"],
            "scope": "",
        },
        "security": {"sub": "dev-security", "scope": "security.audit"},
        "lead": {
            "sub": "dev-lead",
            "bank_id": "b",
            "scope": "security.audit security.manage",
        },
    }


def test_a_token_lives_for_an_hour_at_most(issuer: EmbeddedIssuer) -> None:
    claims = claims_of(issuer, issuer.mint("bank", bank_id="b", expires_seconds=60))
    assert claims["exp"] == int(str(claims["iat"])) + 60
    assert int(str(claims["iat"])) <= time.time()
    for seconds in (0, -1, 3601):
        with pytest.raises(IssuerError):
            issuer.mint("bank", bank_id="b", expires_seconds=seconds)


def test_a_kind_without_its_names_is_refused(issuer: EmbeddedIssuer) -> None:
    with pytest.raises(IssuerError, match="needs a bank ID"):
        issuer.mint("bank")
    with pytest.raises(IssuerError, match="needs a user ID"):
        issuer.mint("user", bank_id="b")


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_only_loopback_is_loopback(host: str, is_local: bool) -> None:
    assert is_loopback(host) is is_local
