"""What the family answers is what the OpenAPI document says, and nothing more."""

from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.contract.http.test_security_search import LINK, LOGIN, some_history
from tests.support.replaying import DAY, PATH, answer_at_once, until
from tests.support.trail import Trail

AUDIT = "/v1/security/audit/search"
AS_OF = "/v1/security/devices/as-of"
ALERTS = "/v1/security/alerts"
WHY = {"reveal": True, "reason": "case 1"}


class Document:
    """The OpenAPI document, its objects closed: a field that it doesn't name is an error."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._paths = document["paths"]
        self._components = document["components"]
        for schema in self._components["schemas"].values():
            if "properties" in schema:
                schema["additionalProperties"] = False

    def check(self, path: str, response: httpx.Response) -> int:
        """Fail where the answer isn't what the path's document says; its status else."""
        operation = self._paths[path][response.request.method.lower()]
        media_type = response.headers["Content-Type"].partition(";")[0]
        documented = operation["responses"][str(response.status_code)]["content"][media_type]
        schema = documented["schema"] | {"components": self._components}
        Draft202012Validator(schema).validate(response.json())
        return response.status_code


@pytest.fixture
async def document(trail: Trail) -> Document:
    return Document((await trail.api.client.get("/openapi.json")).json())


async def test_searches_and_holders_are_as_documented(trail: Trail, document: Document) -> None:
    api = trail.api
    await some_history(trail)
    await api.command("login-seen", LOGIN)
    await trail.project()
    lead = api.token("lead")
    at = "2026-01-31T09:30:00Z"
    now = (await api.client.post(AUDIT, json={"limit": 1}, headers=lead)).json()["entries"][0]["at"]
    calls: list[tuple[str, dict[str, Any], dict[str, str], int]] = [
        (AUDIT, {}, lead, 200),
        (AUDIT, {"limit": 2} | WHY, lead, 200),
        (AUDIT, {"limit": 0}, lead, 400),
        (AUDIT, {}, {}, 401),
        (AUDIT, WHY, api.token("security"), 403),
        (AS_OF, {"deviceId": LINK["deviceId"], "at": now} | WHY, lead, 200),
        (AS_OF, {"deviceId": LINK["deviceId"], "at": at}, lead, 200),
        (AS_OF, {"deviceId": "device-2", "at": now}, api.token("lead", bank_id="bank-1"), 200),
        (AS_OF, {"at": at}, lead, 400),
        (AS_OF, {"deviceId": "d", "at": at}, api.bank(), 403),
    ]
    for path, body, headers, status in calls:
        response = await api.client.post(path, json=body, headers=headers)
        assert document.check(path, response) == status, (path, body)


async def test_alerts_are_as_documented(trail: Trail, document: Document) -> None:
    api = trail.api
    await some_history(trail)
    alert = await trail.alert(
        "device-farm", "1", bankId="bank-1", customerId="c", merchantId="m", deviceToken="D" * 43
    )
    lead = api.token("lead")
    for headers, status in ((lead, 200), ({}, 401), (api.merchant(), 403)):
        listed = await api.client.get(ALERTS, headers=headers)
        assert document.check(ALERTS, listed) == status
    for ref, status in ((alert, 200), ("7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42", 404), ("x", 400)):
        found = await api.client.get(f"{ALERTS}/{ref}", headers=lead)
        assert document.check(f"{ALERTS}/{{id}}", found) == status
        if status != 200:
            refused = await api.client.post(f"{ALERTS}/{ref}/acknowledge", json={}, headers=lead)
            assert document.check(f"{ALERTS}/{{id}}/acknowledge", refused) == status
    away = await api.client.post(f"{ALERTS}/{alert}/acknowledge", json={}, headers=lead)
    assert document.check(f"{ALERTS}/{{id}}/acknowledge", away) == 503


async def test_replays_are_as_documented(
    trail: Trail, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_at_once(monkeypatch)
    api = trail.api
    officer = api.token("security")
    started = await api.client.post(PATH, json=DAY, headers=officer)
    assert document.check(PATH, started) == 202
    refused = await api.client.post(PATH, json=DAY | {"rules": ["none"]}, headers=officer)
    assert document.check(PATH, refused) == 400
    replay = started.json()["id"]
    await until(api, replay, "done")
    for method in ("GET", "DELETE"):
        for ref, status in ((replay, 200), ("7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42", 404)):
            response = await api.client.request(method, f"{PATH}/{ref}", headers=officer)
            assert document.check(f"{PATH}/{{id}}", response) == status
    assert document.check(PATH, await api.client.get(PATH, headers=officer)) == 200


async def test_every_route_of_the_family_has_an_example_of_its_answer(trail: Trail) -> None:
    document = (await trail.api.client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    ours = [
        (path, method, operation)
        for path, item in document["paths"].items()
        if path.startswith(("/v1/security/audit", AS_OF, ALERTS, PATH))
        for method, operation in item.items()
    ]
    assert len(ours) == 10
    for path, method, operation in ours:
        assert operation["summary"], path
        assert operation["description"], path
        for status, told in operation["responses"].items():
            if status == "default":
                continue
            [(_, content)] = told["content"].items()
            if "example" not in content:
                name = content["schema"]["$ref"].rpartition("/")[2]
                assert schemas[name]["properties"], (path, method, status)
