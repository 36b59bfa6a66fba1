"""Tokens of a real OIDC issuer, checked over HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api import oidc
from api.auth import CLOCK_SKEW_SECONDS, Token, Verifier
from api.errors import Refusal
from api.oidc import OidcKeys
from device_ledger.settings import Settings
from tests.support.oidc import Issuer, running_issuer, unsigned


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        running.add_key("ed", "EdDSA")
        yield running


@pytest.fixture
async def verifier(issuer: Issuer) -> AsyncIterator[Verifier]:
    settings = Settings(issuer=issuer.url)
    async with httpx.AsyncClient() as client:
        yield Verifier(settings, OidcKeys(issuer.url, client))


async def verify(verifier: Verifier, text: str) -> Token:
    return await verifier.verify([b"Bearer " + text.encode()])


async def refusal(verifier: Verifier, *authorization: bytes) -> tuple[int, str]:
    with pytest.raises(Refusal) as refused:
        await verifier.verify(list(authorization))
    return refused.value.status, refused.value.headers.get("WWW-Authenticate", "")


BAD = (401, 'Bearer error="invalid_token"')


async def test_a_token_says_who_calls(issuer: Issuer, verifier: Verifier) -> None:
    claims = issuer.claims()
    assert await verify(verifier, issuer.token("ed")) == Token(
        subject="service-1",
        client="client-1",
        bank_id="bank-1",
        claims_bank=True,
        merchant_id="",
        user_id="service-1",
        scopes=frozenset({"devices.manage"}),
        permissions=frozenset(),
        acr="",
        auth_time=None,
        expires_at=claims["exp"],
    )


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_each_algorithm_of_the_contract_is_believed(
    issuer: Issuer, verifier: Verifier, algorithm: Any
) -> None:
    issuer.add_key("key", algorithm)
    token = await verify(verifier, issuer.token("key"))
    assert token.bank_id == "bank-1"


async def test_audience_scope_and_permissions_may_be_text_or_list(
    issuer: Issuer, verifier: Verifier
) -> None:
    listed = issuer.token(
        "ed",
        aud=["other", "device-ledger"],
        scope=["devices.lookup", "devices.manage"],
        permissions=["Manage security settings", "Other"],
    )
    told = issuer.token(
        "ed", scope="devices.lookup devices.manage", permissions="Manage security settings, Other"
    )
    tokens = [await verify(verifier, text) for text in (listed, told)]
    expected = (
        frozenset({"devices.lookup", "devices.manage"}),
        frozenset({"Manage security settings", "Other"}),
    )
    assert [(one.scopes, one.permissions) for one in tokens] == [expected, expected]


async def test_claims_have_the_names_that_the_settings_give(issuer: Issuer) -> None:
    settings = Settings(
        issuer=issuer.url,
        claim_bank_id="https://bank.example/id",
        claim_scope="scp",
        claim_client="cid",
        claim_user_id="uid",
        claim_permissions="roles",
        claim_merchant_id="shop",
    )
    named: dict[str, Any] = {"https://bank.example/id": "b", "scp": ["s"], "roles": ["r"]}
    text = issuer.token("ed", None, cid="c", uid="u", shop="m", **named)
    async with httpx.AsyncClient() as client:
        token = await verify(Verifier(settings, OidcKeys(issuer.url, client)), text)
    assert (token.bank_id, token.scopes, token.client, token.user_id, token.merchant_id) == (
        "b",
        frozenset({"s"}),
        "c",
        "u",
        "m",
    )
    assert token.permissions == frozenset({"r"})


async def test_no_token_is_refused_without_an_error_code(verifier: Verifier) -> None:
    assert await refusal(verifier) == (401, "Bearer")


@pytest.mark.parametrize(
    "header", [b"", b"Bearer", b"Bearer x", b"Bearer a.b.c", b"Basic YTpi", b"Bearer \xff.\xff.x"]
)
async def test_what_is_no_bearer_token_is_refused(verifier: Verifier, header: bytes) -> None:
    assert await refusal(verifier, header) == BAD


async def test_two_authorization_headers_are_refused(issuer: Issuer, verifier: Verifier) -> None:
    header = f"Bearer {issuer.token('ed')}".encode()
    assert await refusal(verifier, header, header) == BAD


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": int(time.time()) - 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": str(int(time.time()) + 60)},
        {"exp": True},
        {"exp": 10**400},
        {"nbf": "0"},
        {"nbf": True},
        {"nbf": [0]},
        {"nbf": int(time.time()) + 3600},
        {"aud": "another-service"},
        {"aud": ["another-service"]},
        {"aud": None},
        {"iss": "https://other.example"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "\ud800"},
        {"sub": "two\nlines"},
        {"sub": "s" * 256},
        {"azp": "\udfff"},
        {"azp": "c" * 256},
    ],
)
async def test_a_claim_that_does_not_hold_is_refused(
    issuer: Issuer, verifier: Verifier, changed: dict[str, Any]
) -> None:
    text = issuer.token("ed", **changed)
    assert await refusal(verifier, b"Bearer " + text.encode()) == BAD


@pytest.mark.parametrize("told", ["now", True, -1, 10**400, float("inf"), float("nan")])
async def test_a_login_time_that_is_no_time_is_none(
    issuer: Issuer, verifier: Verifier, told: object
) -> None:
    assert (await verify(verifier, issuer.token("ed", auth_time=told))).auth_time is None


async def test_a_fresh_token_of_an_issuer_whose_clock_is_ahead_holds(
    issuer: Issuer, verifier: Verifier
) -> None:
    ahead = issuer.token("ed", nbf=int(time.time()) + CLOCK_SKEW_SECONDS - 2)
    assert (await verify(verifier, ahead)).subject


async def test_a_token_without_signature_is_refused(issuer: Issuer, verifier: Verifier) -> None:
    text = unsigned({"alg": "none", "kid": "ed", "typ": "JWT"}, issuer.claims())
    assert await refusal(verifier, b"Bearer " + text.encode()) == BAD


async def test_a_public_key_is_no_hmac_secret(issuer: Issuer, verifier: Verifier) -> None:
    public = issuer.key("ed").public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    text = jwt.encode(issuer.claims(), public, "HS256", {"kid": "ed"})
    assert await refusal(verifier, b"Bearer " + text.encode()) == BAD


async def test_a_key_that_the_token_brings_along_is_not_believed(
    issuer: Issuer, verifier: Verifier
) -> None:
    issuer.add_key("own", "EdDSA")
    own = issuer.jwks.pop()
    text = issuer.token("own", {"jwk": own, "jku": f"{issuer.url}/own", "kid": "own"})
    assert await refusal(verifier, b"Bearer " + text.encode()) == BAD
    assert f"{issuer.url}/own" not in issuer.asked
    text = issuer.token("own", {"jwk": own, "kid": "ed"})
    assert await refusal(verifier, b"Bearer " + text.encode()) == BAD


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"alg": "RSA-OAEP"},
        {"crv": "unknown"},
        {"x": "AA"},
    ],
)
async def test_keys_for_other_uses_stand_beside_ours_and_verify_nothing(
    issuer: Issuer, verifier: Verifier, members: dict[str, Any]
) -> None:
    issuer.add_key("other", "EdDSA", **members)
    issuer.jwks[:0] = [{"kty": "oct", "k": "c2VjcmV0", "kid": "hmac"}, {}, {"kty": "new"}]
    text = issuer.token("other")
    assert await refusal(verifier, b"Bearer " + text.encode()) == BAD
    assert (await verify(verifier, issuer.token("ed"))).bank_id == "bank-1"


async def test_a_token_without_key_id_is_believed_where_one_key_fits(
    issuer: Issuer, verifier: Verifier
) -> None:
    text = jwt.encode(issuer.claims(), issuer.key("ed"), "EdDSA")
    assert (await verify(verifier, text)).bank_id == "bank-1"


async def test_the_keys_are_read_once_for_many_tokens(issuer: Issuer, verifier: Verifier) -> None:
    for number in range(5):
        await verify(verifier, issuer.token("ed", sub=f"service-{number}"))
    assert issuer.asked == ["/.well-known/openid-configuration", "/jwks"]


async def test_those_who_come_while_the_keys_are_read_wait_for_them(
    issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [issuer.token("ed", sub=f"service-{number}") for number in range(20)]
    found = await asyncio.gather(*(verify(verifier, text) for text in texts))
    assert [one.subject for one in found] == [f"service-{number}" for number in range(20)]
    assert len(issuer.asked) == 2
    issuer.add_key("new", "EdDSA")
    texts = [issuer.token("new", sub=f"service-{number}") for number in range(20)]
    monkeypatch.setattr(OidcKeys, "_may_ask", lambda _self: len(issuer.asked) == 2)
    found = await asyncio.gather(*(verify(verifier, text) for text in texts))
    assert [one.subject for one in found] == [f"service-{number}" for number in range(20)]
    assert len(issuer.asked) == 4


async def test_made_up_key_ids_do_not_hammer_the_issuer(issuer: Issuer, verifier: Verifier) -> None:
    await verify(verifier, issuer.token("ed"))
    for number in range(20):
        text = issuer.token("ed", {"kid": f"made-up-{number}"})
        assert await refusal(verifier, b"Bearer " + text.encode()) == BAD
    assert issuer.asked == ["/.well-known/openid-configuration", "/jwks"]


async def test_a_new_key_is_believed_once_the_key_set_may_be_read_again(
    issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await verify(verifier, issuer.token("ed"))
    issuer.add_key("new", "ES256")
    text = issuer.token("new")
    assert await refusal(verifier, b"Bearer " + text.encode()) == BAD
    monkeypatch.setattr(oidc, "COOLDOWN_SECONDS", 0)
    assert (await verify(verifier, text)).bank_id == "bank-1"


async def test_tokens_of_a_withdrawn_key_end_with_it(
    issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.add_key("old", "EdDSA")
    text = issuer.token("old")
    await verify(verifier, text)
    del issuer.jwks[1]
    monkeypatch.setattr(oidc, "COOLDOWN_SECONDS", 0)
    monkeypatch.setattr(oidc, "FRESH_SECONDS", 0)
    assert await refusal(verifier, b"Bearer " + text.encode()) == BAD


async def test_known_keys_go_on_while_the_issuer_is_away(
    issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await verify(verifier, issuer.token("ed"))
    issuer.is_away = True
    monkeypatch.setattr(oidc, "COOLDOWN_SECONDS", 0)
    monkeypatch.setattr(oidc, "FRESH_SECONDS", 0)
    assert (await verify(verifier, issuer.token("ed", sub="service-2"))).subject == "service-2"


async def test_an_issuer_that_was_never_reached_is_a_503(
    issuer: Issuer, verifier: Verifier
) -> None:
    issuer.is_away = True
    with pytest.raises(Refusal) as refused:
        await verify(verifier, issuer.token("ed"))
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "10"})


async def test_a_discovery_document_of_another_issuer_is_not_believed(
    issuer: Issuer, verifier: Verifier
) -> None:
    issuer.named = "https://other.example"
    with pytest.raises(Refusal) as refused:
        await verify(verifier, issuer.token("ed"))
    assert refused.value.status == 503
    assert issuer.asked == ["/.well-known/openid-configuration"]


async def test_a_kept_token_ends_when_it_expires(
    issuer: Issuer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = issuer.token("ed")
    token = await verify(verifier, text)
    assert await verify(verifier, text) is token
    real = time.time
    monkeypatch.setattr("api.auth.time.time", lambda: real() + 61)
    monkeypatch.setattr("jwt.api_jwt.datetime", _an_hour_ahead())
    assert await refusal(verifier, b"Bearer " + text.encode()) == BAD


def _an_hour_ahead() -> Any:
    from datetime import datetime, timedelta, tzinfo

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(hours=1)

    return Ahead
