"""The realm that Keycloak imports: its tokens are ones that the API takes."""

import json
from pathlib import Path
from typing import Any

from api import callers
from device_ledger.settings import Settings

REALM: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "deploy" / "keycloak" / "realm.json").read_text()
)
CLIENTS: dict[str, Any] = {client["clientId"]: client for client in REALM["clients"]}
SCOPES: dict[str, Any] = {scope["name"]: scope for scope in REALM["clientScopes"]}


def claims_of(holder: dict[str, Any]) -> dict[str, str]:
    """The claims that a client or scope sets, and their fixed values, where they are fixed."""
    return {
        mapper["config"]["claim.name"]: mapper["config"].get("claim.value", "")
        for mapper in holder.get("protocolMappers", ())
        if "claim.name" in mapper["config"]
    }


def test_each_caller_has_the_claims_and_scopes_that_the_api_asks_for() -> None:
    names = Settings()
    bank, merchant = CLIENTS["bank-01-backend"], CLIENTS["merchant-001"]
    online = CLIENTS["bank-01-online"]
    assert claims_of(bank) == {names.claim_bank_id: "bank-01"}
    assert callers.MANAGE in bank["defaultClientScopes"]
    assert claims_of(merchant) == {names.claim_merchant_id: "merchant-001"}
    assert callers.LOOKUP in merchant["defaultClientScopes"]
    assert claims_of(online) == {names.claim_bank_id: "bank-01"}
    assert online["optionalClientScopes"] == [callers.READ_OWN, callers.REMOVE_OWN]


def test_every_client_gets_the_audience_the_subject_and_the_permissions() -> None:
    mappers = SCOPES["device-ledger"]["protocolMappers"]
    assert [
        it["config"].get("included.custom.audience") for it in mappers if it["name"] == "audience"
    ] == [Settings().audience]
    assert "oidc-sub-mapper" in {it["protocolMapper"] for it in mappers}
    assert Settings().claim_permissions in claims_of(SCOPES["device-ledger"])
    assert {"device-ledger" in client["defaultClientScopes"] for client in CLIENTS.values()} == {
        True
    }


def test_the_banks_admin_has_the_permission_by_its_name() -> None:
    admin = next(user for user in REALM["users"] if user["username"] == "admin-of-bank-01")
    assert admin["realmRoles"] == [callers.ADMIN_PERMISSION]
    assert [role["name"] for role in REALM["roles"]["realm"]] == [callers.ADMIN_PERMISSION]


def test_every_scope_that_a_client_has_is_defined() -> None:
    used = {
        scope
        for client in CLIENTS.values()
        for kind in ("defaultClientScopes", "optionalClientScopes")
        for scope in client[kind]
    }
    assert used == set(SCOPES)


def test_no_secret_stands_in_the_file() -> None:
    secrets = [client["secret"] for client in CLIENTS.values() if "secret" in client]
    passwords = [it["value"] for user in REALM["users"] for it in user["credentials"]]
    assert {secret.startswith("${") for secret in secrets + passwords} == {True}
