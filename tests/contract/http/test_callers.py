"""Who may call what: every route demands a caller, and no bank reaches another's things."""

import inspect
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from api import callers
from api.app import routed_app
from api.route import Demand, GuardedRoute
from api.security.callers import Lead, Security
from tests.support.installation import BANNO, Installation

CALLERS = {callers.Bank, callers.Merchant, callers.User, Security, Lead}
PAGE = {"/docs", "/swagger/swagger-ui-bundle.js", "/swagger/swagger-ui.css"}
OPEN_TO_ALL = PAGE | {
    "/swagger/favicon-32x32.png",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/metrics",
}
LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}
LEADS_ALONE = ("/acknowledge", "/erase")
DEVICE = {"customerId": "customer-1", "deviceId": "device-1"}


def demands_a_caller(endpoint: Callable[..., Any]) -> bool:
    """Whether one of a route's parameters is a caller that a demand makes."""
    hints = get_type_hints(inspect.unwrap(endpoint), include_extras=True)
    return any(
        get_args(hint)[0] in CALLERS and isinstance(get_args(hint)[-1], Demand)
        for hint in hints.values()
        if get_args(hint)
    )


def routes() -> list[tuple[str, str, Any]]:
    """Method, path and route of everything that is served."""
    return [
        (method, str(context.path), context.original_route)
        for context in iter_route_contexts(routed_app().routes)
        for method in sorted(context.methods or ())
    ]


def test_every_route_but_the_operations_demands_a_caller_in_its_signature() -> None:
    guarded = [(path, route) for _, path, route in routes() if path not in OPEN_TO_ALL]
    assert len(guarded) >= 12
    for path, route in guarded:
        assert isinstance(route, GuardedRoute), path
        assert demands_a_caller(route.endpoint), path


def test_a_route_without_a_caller_would_be_found() -> None:
    async def nobody(body: dict[str, str]) -> None:
        """Names no caller."""

    async def undeclared(bank: callers.Bank) -> None:
        """Names one that no demand makes."""

    assert not demands_a_caller(nobody)
    assert not demands_a_caller(undeclared)


def test_a_route_without_the_guard_cannot_be_made() -> None:
    async def unguarded(bank: callers.BankCaller) -> str:
        return bank.bank_id

    with pytest.raises(TypeError, match="the route needs GuardedRoute"):
        APIRoute("/unguarded", unguarded)


def valid(path: str) -> tuple[str, dict[str, Any] | None]:
    """An address and a body that the route takes."""
    user = "7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"
    address = (
        path.replace("{userId}", user)
        .replace("{deviceRegistrationId}", user)
        .replace("{deviceId:path}", "device-1")
        .replace("{id}", user)
    )
    queries = {"inclusion": "?ref=1", "consistency": "?from=1"}
    bodies: dict[str, dict[str, Any]] = {
        "link": LINK,
        "unlink": LINK,
        "login-seen": DEVICE,
        "deactivate": DEVICE,
        "lookup": {"deviceId": "device-1"},
        "batch": {"deviceIds": ["device-1"]},
        "search": {},
        "as-of": {"deviceId": "device-1", "at": "2026-01-31T09:30:00Z"},
        "acknowledge": {},
        "erase": {"customerId": "customer-1", "bankId": "bank-1", "reason": "case 1"},
        "replays": {"from": "2026-01-30T00:00:00Z", "to": "2026-01-31T00:00:00Z"},
    }
    last = path.rsplit("/", 1)[-1]
    return address + queries.get(last, ""), bodies.get(last)


@pytest.mark.parametrize(
    ("method", "path"), [(method, path) for method, path, _ in routes() if path not in OPEN_TO_ALL]
)
async def test_no_other_kind_of_caller_may_call_it(
    api: Installation, method: str, path: str
) -> None:
    address, body = valid(path)
    kinds = {
        "bank": api.bank(),
        "merchant": api.merchant(),
        "user": api.user(),
        "security": api.token("security"),
        "nobody": {},
    }
    own = (
        "lead"
        if path.endswith(LEADS_ALONE)
        else "security"
        if path.startswith("/v1/security")
        else "merchant"
        if "/lookup" in path
        else "bank"
        if path.startswith("/v1")
        else "user"
    )
    no_token = 400 if path.startswith(BANNO) else 401
    for kind, headers in kinds.items():
        if kind == own:
            continue
        response = await api.client.request(method, address, json=body, headers=headers)
        assert response.status_code == (no_token if kind == "nobody" else 403), kind


async def test_a_bank_sees_and_changes_nothing_of_another_bank(api: Installation) -> None:
    await api.command("link", LINK)
    await api.command("login-seen", DEVICE)
    await api.project()
    before = api.services.ledger.heads()
    other = api.bank("bank-2")
    listed = await api.client.get("/v1/bank/devices/list?search=device-1", headers=other)
    assert listed.json()["data"]["total"] == 0
    for name, body in (("unlink", LINK), ("deactivate", DEVICE)):
        assert (await api.command(name, body, other)).status_code == 404
    assert (await api.command("link", LINK, other)).status_code == 409
    await api.project()
    found = await api.client.post(
        "/v1/customer/device/lookup", json={"deviceId": "device-1"}, headers=api.merchant()
    )
    assert found.json()["data"]["bankId"] == "bank-1"
    assert set(before) == set(api.services.ledger.heads())


@pytest.mark.parametrize("bank_id", ["", "b" * 129, "line\nbreak"])
async def test_a_token_without_a_proper_bank_is_forbidden(api: Installation, bank_id: str) -> None:
    headers = api.token("security", bank_id=bank_id, scope="devices.manage")
    response = await api.command("link", LINK, headers)
    assert (response.status_code, response.json()["message"]) == (403, "The token names no bank")


async def test_the_body_cannot_name_another_bank(api: Installation) -> None:
    response = await api.command("link", LINK | {"bankId": "bank-2"})
    assert response.status_code == 400
