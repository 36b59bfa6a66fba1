"""Who may call the security family, and what narrows them."""

import time
from typing import Any

import jwt
import pytest

from device_ledger.issuer import EmbeddedIssuer
from device_ledger.settings import DEV_ISSUER
from tests.contract.http.test_bad_input import ODD
from tests.contract.http.test_security_search import LINK, search, some_history
from tests.support.installation import Installation
from tests.support.trail import Trail

NOBODY = "7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"
ACKNOWLEDGE = f"/v1/security/alerts/{NOBODY}/acknowledge"


def claiming(api: Installation, **claims: Any) -> dict[str, str]:
    """The header of a token with these claims beside the needed ones."""
    issuer = EmbeddedIssuer.open(api.settings)
    needed = {"iss": DEV_ISSUER, "aud": "device-ledger", "sub": "officer", "exp": time.time() + 60}
    text = jwt.encode(needed | claims, issuer._key, "EdDSA", {"kid": issuer.key_id})
    return {"Authorization": f"Bearer {text}"}


@pytest.mark.parametrize("bank_id", ["", " \n", "b" * 129, None, 7, True, ["bank-1"], {"id": "b"}])
async def test_a_claim_of_a_bank_that_names_none_shows_no_bank(
    trail: Trail, bank_id: object
) -> None:
    await some_history(trail)
    for scope in ("security.audit", "security.audit security.manage"):
        headers = claiming(trail.api, scope=scope, bank_id=bank_id)
        refused = await search(trail.api, headers)
        assert (refused.status_code, refused.json()["detail"]) == (
            403,
            "The token's claim of a bank names none",
        )


@pytest.mark.parametrize(
    ("scope", "reads", "acknowledges"),
    [
        ("security.audit", 200, 403),
        ("security.manage", 200, 404),
        (["security.manage", "security.audit"], 200, 404),
        ("devices.manage devices.lookup", 403, 403),
        ("security", 403, 403),
        ("", 403, 403),
    ],
)
async def test_scopes_say_who_may_read_and_who_may_acknowledge(
    trail: Trail, scope: object, reads: int, acknowledges: int
) -> None:
    headers = claiming(trail.api, scope=scope, bank_id="bank-1")
    assert (await search(trail.api, headers)).status_code == reads
    response = await trail.api.client.post(ACKNOWLEDGE, json={}, headers=headers)
    assert response.status_code == acknowledges


@pytest.mark.parametrize("chosen", [{"rate_security": 2}])
async def test_officers_have_a_rate_limit_of_their_own_each(trail: Trail) -> None:
    api = trail.api
    statuses = [(await search(api)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    refused = await search(api)
    assert refused.headers["RateLimit-Policy"] == '"security";q=2;w=60'
    assert (refused.json()["code"], "Retry-After" in refused.headers) == ("rate-limited", True)
    assert (await search(api, api.token("security", bank_id="bank-1"))).status_code == 200
    assert (await api.command("link", LINK)).status_code == 200


async def test_what_is_no_address_of_the_family_is_told_as_a_problem(api: Installation) -> None:
    found = [
        await api.client.get("/v1/security/nothing"),
        await api.client.put("/v1/security/alerts"),
        await api.client.post("/v1/security/audit/search", content=b"{"),
        await api.client.post("/v1/security/audit/search", content=b" " * 70_000),
    ]
    assert [
        (one.headers["Content-Type"], one.status_code, one.json()["code"]) for one in found
    ] == [
        ("application/problem+json", 404, "http-404"),
        ("application/problem+json", 405, "http-405"),
        ("application/problem+json", 400, "bad-input"),
        ("application/problem+json", 413, "http-413"),
    ]


async def test_nothing_that_is_sent_makes_a_failure(trail: Trail) -> None:
    await some_history(trail)
    api = trail.api
    alert = await trail.alert("device-farm", "1")
    lead = api.token("lead")
    whole = {"bankId": "bank-1", "types": ["device.linked.v1"], "outcome": "done", "limit": 5}
    names = ("customerId", "userId", "actor", "merchantId", "from", "to", "order", "cursor")
    device = {"deviceId": "device-1", "at": "2026-01-31T09:30:00Z"}
    calls: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
        ("/v1/security/audit/search", whole, (*whole, *names, "device", "reveal", "reason")),
        ("/v1/security/devices/as-of", device, (*device, "deviceToken", "reveal", "reason")),
        (
            "/v1/security/replays",
            {"to": "2026-01-31T00:00:00Z", "rules": ["no-such-rule"]},
            ("from", "to", "rules", "ruleFiles", "bankId"),
        ),
    ]
    for path, body, fields in calls:
        for name in fields:
            for odd in ODD:
                response = await api.client.post(path, json=body | {name: odd}, headers=lead)
                assert response.status_code in (200, 400, 403), (path, name, odd)
    for odd in ODD:
        asked = await api.client.post(
            f"/v1/security/alerts/{alert}/acknowledge", json={"note": odd}, headers=lead
        )
        assert asked.status_code in (400, 503), odd
    for name in ("rule", "level", "bankId", "deviceToken", "customerId", "from", "to", "cursor"):
        for odd in ODD:
            listed = await api.client.get(
                "/v1/security/alerts", params={name: str(odd)}, headers=lead
            )
            assert listed.status_code in (200, 400), (name, odd)
