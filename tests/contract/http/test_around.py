"""What stands around every request: operations, request IDs, logs, CORS, rate limits."""

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from api.middleware import UNMATCHED
from api.openapi import document
from device_ledger.ledger.group_commit import OverloadedError
from tests.support.installation import BANNO, Installation

LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}
ORIGIN = "https://app.bank.example"
WITH_CORS = pytest.mark.parametrize("chosen", [{"cors_origins": f"{ORIGIN}, https://b.example"}])


WITHOUT_KAFKA = {"kafka": "no broker takes connections"}


async def test_it_is_alive_without_a_token(api: Installation) -> None:
    response = await api.client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_it_is_not_ready_before_everything_was_up_once_and_then_degraded(
    api: Installation,
) -> None:
    response = await api.client.get("/readyz")
    assert (response.status_code, response.json()) == (
        503,
        {"status": "down", "down": ["kafka"], "degraded": [], "reasons": WITHOUT_KAFKA},
    )
    async with await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0) as kafka:
        api.settings.broker_port = kafka.sockets[0].getsockname()[1]
        response = await api.client.get("/readyz")
        assert (response.status_code, response.json()["status"]) == (200, "ready")
    response = await api.client.get("/readyz")
    assert (response.status_code, response.json()) == (
        200,
        {"status": "ready", "down": [], "degraded": ["kafka"], "reasons": WITHOUT_KAFKA},
    )


async def test_it_is_not_ready_without_its_event_store(
    api: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0) as kafka:
        api.settings.broker_port = kafka.sockets[0].getsockname()[1]
        assert (await api.client.get("/readyz")).status_code == 200

        def away() -> dict[int, int]:
            raise OSError("the database is away")

        monkeypatch.setattr(api.services.ledger.events.store, "heads", away)
        response = await api.client.get("/readyz")
    assert (response.status_code, response.json()["down"]) == (503, ["event-store"])


async def test_metrics_carry_the_routes_template_and_no_value(api: Installation) -> None:
    await api.client.delete("/settings/devices/planted-7d2c", headers=api.user())
    await api.client.get("/planted-7d2c?planted-7d2c")
    text = (await api.client.get("/metrics")).text
    route = 'method="DELETE",route="/settings/devices/{deviceId:path}",status="404"'
    assert f"device_ledger_http_requests_total{{{route}}} 1.0" in text
    assert f'route="{UNMATCHED}",status="404"' in text
    assert "planted" not in text


async def test_logs_carry_the_routes_template_and_no_value(
    api: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await api.client.get("/v1/bank/devices/list?search=planted-7d2c", headers=api.bank())
        await api.client.delete("/settings/devices/planted-7d2c", headers=api.user())
        planted = {name: f"planted-7d2c-{value}" for name, value in LINK.items()}
        await api.command("link", planted)
        await api.command("link", planted | {"deviceId": "planted-7d2c?"})
    told = [vars(one) for one in caplog.records if one.name == "api.access"]
    assert [(one["method"], one["route"], one["status"], one["refusal"]) for one in told] == [
        ("GET", "/v1/bank/devices/list", 200, None),
        ("DELETE", "/settings/devices/{deviceId:path}", 404, "no-such-device"),
        ("POST", "/v1/bank/customer/device/link", 200, None),
        ("POST", "/v1/bank/customer/device/link", 400, "bad-input"),
    ]
    ours = [one for one in caplog.records if not one.name.startswith("httpx")]
    assert not [one for one in ours if "planted" in str(vars(one))]


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [("abc-123", True), ("a" * 64, True), ("a" * 65, False), ("a_b", False), ("", False)],
)
async def test_a_proper_request_id_is_taken_and_any_other_replaced(
    api: Installation, given: str, is_taken: bool
) -> None:
    response = await api.client.get("/healthz", headers={"X-Request-ID": given})
    told = response.headers["X-Request-ID"]
    assert (told == given) is is_taken
    assert told


async def test_a_failure_is_a_500_without_detail(
    api: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: Any) -> None:
        raise RuntimeError("planted-7d2c")

    monkeypatch.setattr(api.services.ledger, "submit", fail)
    response = await api.command("link", LINK)
    assert (response.status_code, response.json()["success"]) == (500, False)
    assert "X-Request-ID" in response.headers
    assert "planted" not in response.text + caplog.text
    assert "RuntimeError at" in caplog.text


async def test_a_ledger_that_takes_no_more_is_a_503(
    api: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overloaded(*_args: Any) -> None:
        raise OverloadedError

    monkeypatch.setattr(api.services.ledger, "submit", overloaded)
    response = await api.command("link", LINK)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (f"{BANNO}/users/7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42/devices", "DELETE, GET"),
        ("/v1/security/replays", "GET, POST"),
        ("/v1/bank/customer/device/link", "POST"),
        ("/settings/devices/a/b", "DELETE"),
    ],
)
async def test_who_uses_another_method_is_told_all_that_the_address_allows(
    api: Installation, path: str, methods: str
) -> None:
    response = await api.client.put(path)
    assert (response.status_code, response.headers["Allow"]) == (405, methods)


@WITH_CORS
async def test_browsers_of_the_set_origins_may_call_the_user_families(api: Installation) -> None:
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "DELETE"}
    asked = preflight | {"Access-Control-Request-Headers": "authorization"}
    for path in ("/settings/devices", f"{BANNO}/users/x/devices"):
        response = await api.client.options(path, headers=asked)
        assert response.status_code == 200
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "DELETE" in response.headers["Access-Control-Allow-Methods"]
        answer = await api.client.get(path, headers=api.user() | {"Origin": ORIGIN})
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Ledger-Position" in answer.headers["Access-Control-Expose-Headers"]


@WITH_CORS
async def test_no_other_origin_and_no_other_family_is_opened(api: Installation) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "DELETE"}
    refused = await api.client.options("/settings/devices", headers=asked)
    assert "Access-Control-Allow-Origin" not in refused.headers
    for path in ("/v1/bank/devices/list", "/healthz"):
        answer = await api.client.get(path, headers=api.bank() | {"Origin": ORIGIN})
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("chosen", [{"rate_commands": 2}])
async def test_a_caller_that_asks_too_much_is_told_when_to_come_again(api: Installation) -> None:
    answers = [await api.command("link", LINK) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert [one.headers["RateLimit-Policy"] for one in answers] == ['"commands";q=2;w=60'] * 3
    assert [one.headers["RateLimit"].split(";")[1] for one in answers] == ["r=1", "r=0", "r=0"]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 30
    assert answers[2].json() == {
        "statusCode": 429,
        "success": False,
        "message": "Too many requests; try again later",
    }
    assert (await api.command("link", LINK, api.bank("bank-2"))).status_code == 409


def test_the_committed_openapi_document_is_the_one_that_is_served() -> None:
    committed = Path("docs/openapi.json").read_bytes()
    assert committed == document(), "run: python -m api.openapi > docs/openapi.json"


async def test_openapi_tells_refusals_and_the_token_of_every_route(api: Installation) -> None:
    served = (await api.client.get("/openapi.json")).json()
    operations = [one for item in served["paths"].values() for one in item.values()]
    ours = [one for one in operations if "operations" not in one["tags"]]
    assert len(ours) >= 12
    for operation in ours:
        assert {"400", "403", "429", "503"} <= operation["responses"].keys()
        assert operation["security"] == [{"token": []}]


async def test_the_page_of_the_document_takes_all_from_here_and_keeps_no_token(
    api: Installation,
) -> None:
    page = (await api.client.get("/docs")).text
    named = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert len(named) == 3
    for one in named:
        assert one.startswith("http://ledger.test/swagger/")
        assert (await api.client.get(one)).status_code == 200
    assert '"persistAuthorization": false' in page
