"""A token of one bank is tried on everything of another, on every route that there is.

A route that is new fails here until :data:`ATTEMPTS` says how it is tried.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import orjson
import pytest

from device_ledger.wire.events import EVENT_TYPES
from tests.contract.http.test_callers import OPEN_TO_ALL, routes
from tests.contract.http.test_log_proofs import sign
from tests.support.installation import BANNO, Installation
from tests.support.replaying import DAY, answer_at_once, until
from tests.support.trail import Trail

LINK: Final = {"customerId": "{customer}", "phrase": "{phrase}", "deviceId": "{device}"}
DEVICE: Final = {"customerId": "{customer}", "deviceId": "{device}"}
BANK: Final = "/v1/bank/customer/device"
SECURITY: Final = "/v1/security"
KEY: Final = {"Idempotency-Key": "{key}"}
AT: Final = "2026-01-31T09:30:00Z"
VARYING: Final = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z|[\w-]{43,}"
)
"""What differs from answer to answer anyway: IDs, times, tokens and seals."""


@dataclass(frozen=True)
class Attempt:
    """Something that somebody of bank-2 sends; ``{…}`` is filled with a thing of bank-1's.

    Filled with what nobody has it must be answered alike, but where ``tells`` says what may be
    learned.
    """

    kind: str
    status: int
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    tells: str = ""


TAKEN: Final = "that the device is taken"
ATTEMPTS: Final[Mapping[tuple[str, str], tuple[Attempt, ...]]] = {
    # What reads comes first, what writes last.
    ("POST", "/v1/customer/device/lookup"): (Attempt("bank", 403, {"deviceId": "{device}"}),),
    ("POST", "/v1/customer/device/lookup/batch"): (
        Attempt("bank", 403, {"deviceIds": ["{device}"]}),
    ),
    ("GET", "/v1/bank/devices/list"): (
        Attempt("bank", 200),
        Attempt("bank", 200, query={"search": "{device}"}),
        Attempt("bank", 200, query={"search": "{phrase}", "customerId": "{customer}"}),
        Attempt("bank", 400, query={"cursor": "{cursor}"}),
    ),
    ("GET", "/settings/devices"): (Attempt("user", 200),),
    ("GET", BANNO + "/users/{userId}/devices"): (Attempt("user", 403), Attempt("admin", 200)),
    ("POST", f"{SECURITY}/audit/search"): (
        Attempt("lead", 200, {}),
        Attempt("lead", 200, {"device": {"deviceId": "{device}"}}),
        Attempt("lead", 200, {"device": {"deviceToken": "{token}"}, "reveal": True, "reason": "r"}),
        Attempt("lead", 200, {"customerId": "{customer}", "userId": "{user}"}),
        Attempt("lead", 403, {"bankId": "{bank}"}),
        Attempt("lead", 400, {"cursor": "{trail cursor}"}),
    ),
    ("POST", f"{SECURITY}/devices/as-of"): (
        Attempt("lead", 200, {"deviceId": "{device}", "at": "{now}"}, tells=TAKEN),
        Attempt("lead", 200, {"deviceToken": "{token}", "at": "{now}"}, tells=TAKEN),
    ),
    ("GET", f"{SECURITY}/alerts/stream"): (
        Attempt("lead", 403, query={"bankId": "{bank}"}),
        Attempt("lead", 400, headers={"Last-Event-ID": "{trail cursor}"}),
    ),
    ("GET", f"{SECURITY}/alerts"): (
        Attempt("lead", 200),
        Attempt("lead", 200, query={"deviceToken": "{token}"}),
        Attempt("lead", 403, query={"bankId": "{bank}"}),
        Attempt("lead", 400, query={"cursor": "{trail cursor}"}),
    ),
    ("GET", f"{SECURITY}/alerts/{{id}}"): (Attempt("lead", 404),),
    ("GET", f"{SECURITY}/replays"): (Attempt("lead", 200),),
    ("GET", f"{SECURITY}/replays/{{id}}"): (Attempt("lead", 404),),
    ("GET", f"{SECURITY}/log/key"): (Attempt("lead", 200),),
    ("GET", f"{SECURITY}/log/checkpoint"): (Attempt("lead", 200),),
    ("GET", f"{SECURITY}/log/proof/inclusion"): (Attempt("lead", 404, query={"ref": "{event}"}),),
    ("GET", f"{SECURITY}/log/proof/consistency"): (Attempt("lead", 200, query={"from": "1"}),),
    ("POST", f"{BANK}/unlink"): (
        Attempt("bank", 404, LINK),
        Attempt("bank", 404, LINK, headers=KEY),
    ),
    ("POST", f"{BANK}/deactivate"): (
        Attempt("bank", 404, DEVICE),
        Attempt("bank", 404, DEVICE, headers=KEY),
    ),
    ("DELETE", "/settings/devices/{deviceId:path}"): (Attempt("user", 404),),
    ("DELETE", BANNO + "/users/{userId}/devices"): (Attempt("user", 403), Attempt("admin", 204)),
    ("DELETE", BANNO + "/users/{userId}/devices/{deviceRegistrationId}"): (
        Attempt("user", 403),
        Attempt("admin", 204),
    ),
    ("POST", f"{SECURITY}/alerts/{{id}}/acknowledge"): (Attempt("lead", 404, {}),),
    ("POST", f"{SECURITY}/replays"): (Attempt("lead", 403, DAY | {"bankId": "{bank}"}),),
    ("DELETE", f"{SECURITY}/replays/{{id}}"): (Attempt("lead", 404),),
    ("POST", f"{SECURITY}/customers/erase"): (
        Attempt("lead", 403, {"customerId": "{customer}", "bankId": "{bank}", "reason": "r"}),
        Attempt("lead", 404, {"userId": "{user}", "reason": "r"}),
        Attempt("lead", 404, {"customerId": "{customer}", "reason": "r"}),
    ),
    ("POST", f"{BANK}/link"): (
        Attempt("bank", 409, LINK, tells=TAKEN),
        Attempt("bank", 409, LINK, headers=KEY, tells=TAKEN),
    ),
    ("POST", f"{BANK}/login-seen"): (Attempt("bank", 200, DEVICE),),
}


async def theirs(trail: Trail) -> dict[str, str]:
    """All that bank-1 has, by the name that attempts give it."""
    api = trail.api
    refs = {
        "bank": "bank-1",
        "customer": "customer-1",
        "key": "key-of-bank-1",
        "device": "device-of-bank-1",
        "phrase": "Phrase of bank-1",
    }
    link = filled(LINK, refs)
    for number in range(2):
        more = link | {"deviceId": f"{refs['device']}{number or ''}"}
        key = {"Idempotency-Key": refs["key"] if number == 0 else "another"}
        linked = await api.command("link", more, api.bank() | key)
        assert linked.status_code == 200
    seen = await api.command(
        "login-seen", filled(DEVICE, refs) | {"deviceName": "Name of bank-1"}, api.bank()
    )
    refs |= {"user": seen.json()["data"]["userId"], "registration": registration(seen)}
    refs["token"] = api.services.tokens.device(refs["device"])
    refs["alert"] = await trail.alert(
        "device-farm", "1", bankId="bank-1", deviceToken=refs["token"]
    )
    await trail.alert("device-farm", "2", bankId="bank-1")
    officer = api.token("lead", bank_id="bank-1")
    started = await api.client.post(f"{SECURITY}/replays", json=DAY, headers=officer)
    await until(api, started.json()["id"], "done")
    sign(api)
    await trail.project()
    page = await api.client.get("/v1/bank/devices/list?limit=1", headers=api.bank())
    cursor = re.search(r"cursor=([\w-]+)", page.headers["Link"])
    found = await api.client.post(f"{SECURITY}/audit/search", json={"limit": 1}, headers=officer)
    entry = found.json()
    return refs | {
        "replay": started.json()["id"],
        "cursor": cursor[1] if cursor else "",
        "trail cursor": entry["next"],
        "now": entry["entries"][0]["at"],
        "event": "1",
    }


def registration(seen: httpx.Response) -> str:
    found: str = seen.json()["data"]["registrationId"]
    return found


def nobodys(refs: Mapping[str, str]) -> dict[str, str]:
    """The same names for what nobody has, each of the form of bank-1's."""
    made = dict.fromkeys(
        ("user", "registration", "alert", "replay"), "7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"
    )
    return made | {
        "bank": "bank-9",
        "customer": "customer-1",
        "key": "key-of-nobody",
        "now": refs["now"],
        "device": "device-of-nobody",
        "phrase": "Phrase of nobody",
        "token": "A" * 43,
        "cursor": "A" * 60,
        "trail cursor": "A" * 60,
        "event": "999999",
    }


def filled(value: Any, refs: Mapping[str, str]) -> Any:
    """A body, query or headers with the names in braces replaced."""
    if isinstance(value, str):
        return value.format_map(refs)
    if isinstance(value, Mapping):
        return {name: filled(part, refs) for name, part in value.items()}
    return [filled(part, refs) for part in value] if isinstance(value, list) else value


async def tried(
    api: Installation, method: str, path: str, attempt: Attempt, refs: Mapping[str, str]
) -> httpx.Response:
    """The answer to an attempt of bank-2."""
    of_alert = "alerts" in path
    address = (
        path.replace("{userId}", refs["user"])
        .replace("{deviceRegistrationId}", refs["registration"])
        .replace("{deviceId:path}", refs["device"])
        .replace("{id}", refs["alert" if of_alert else "replay"])
    )
    names = {"bank_id": "bank-2"} | ({"user_id": "customer-1"} if attempt.kind == "user" else {})
    return await api.client.request(
        method,
        address,
        json=filled(attempt.body, refs),
        params=filled(attempt.query, refs),
        headers=api.token(attempt.kind, **names) | filled(attempt.headers, refs),
    )


def leaks(response: httpx.Response, attempt: Attempt, refs: Mapping[str, str]) -> list[str]:
    """What of bank-1's an answer shows that the attempt did not bring along."""
    brought = orjson.dumps([attempt.body, dict(attempt.query)]).decode()
    secret = ("registration", "alert", "replay", "phrase", "device", "token")
    told = response.text + str(response.headers)
    return [name for name in secret if refs[name] in told and f"{{{name}}}" not in brought] + (
        ["device name"] if "Name of bank-1" in told else []
    )


def stored(api: Installation) -> list[bytes]:
    """The events of bank-1."""
    found = api.services.ledger.events.store.select_notifications(0, 10_000, topics=EVENT_TYPES)
    return [one.state for one in found if orjson.loads(one.state)["data"]["bankId"] == "bank-1"]


def test_every_route_is_tried() -> None:
    served = {(method, path) for method, path, _ in routes() if path not in OPEN_TO_ALL}
    assert served == set(ATTEMPTS)


async def test_a_token_of_one_bank_gets_and_changes_nothing_of_another(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_at_once(monkeypatch)
    api = trail.api
    refs = await theirs(trail)
    before, wrong = stored(api), []
    for (method, path), attempts in ATTEMPTS.items():
        for attempt in attempts:
            answer = await tried(api, method, path, attempt, refs)
            other = await tried(api, method, path, attempt, nobodys(refs))
            alike = [
                (one.status_code, VARYING.sub("…", one.text.replace("bank-9", "bank-1")))
                for one in (answer, other)
            ]
            is_right = answer.status_code == attempt.status and not leaks(answer, attempt, refs)
            if not is_right or (alike[0] != alike[1] and not attempt.tells):
                wrong.append((method, path, attempt, *alike))
    assert wrong == []
    assert stored(api) == before
    found = await api.client.post(
        "/v1/customer/device/lookup", json={"deviceId": refs["device"]}, headers=api.merchant()
    )
    assert found.json()["data"] == {
        "deviceId": refs["device"],
        "phrase": refs["phrase"],
        "customerId": "customer-1",
        "bankId": "bank-1",
    }
