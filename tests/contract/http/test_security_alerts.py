"""Alerts are listed, looked at with their evidence, and acknowledged."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from device_ledger.wire import access
from tests.contract.http.conftest import ON_BOTH
from tests.contract.http.test_security_search import LINK, OTHERS, search
from tests.support.access_log import spooled
from tests.support.installation import Installation
from tests.support.trail import AT, Trail

PATH = "/v1/security/alerts"
NOBODY = "7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"


async def listed(
    api: Installation, headers: Mapping[str, str] | None = None, **asked: Any
) -> httpx.Response:
    return await api.client.get(PATH, params=asked, headers=headers or api.token("security"))


async def ids(
    api: Installation, headers: Mapping[str, str] | None = None, **asked: Any
) -> list[str]:
    response = await listed(api, headers, **asked)
    assert response.status_code == 200, response.text
    return [one["id"] for one in response.json()["alerts"]]


async def acknowledge(
    api: Installation, alert: str, headers: Mapping[str, str] | None = None, **body: Any
) -> httpx.Response:
    return await api.client.post(
        f"{PATH}/{alert}/acknowledge", json=body, headers=headers or api.token("lead")
    )


@ON_BOTH
async def test_alerts_are_listed_the_newest_first(trail: Trail) -> None:
    older = await trail.alert("device-farm", "1", bankId="bank-1", customerId="customer-1")
    newer = await trail.alert("mass-unlink", "2", at="2026-01-31T09:31:00.000Z", level="low")
    response = await listed(trail.api)
    assert response.json() == {
        "alerts": [
            {
                "id": newer,
                "rule": "mass-unlink",
                "title": "The rule mass-unlink",
                "level": "low",
                "at": "2026-01-31T09:31:00.000Z",
                "firstAt": AT,
                "completedBy": "2",
                "group": {"device_token": "D" * 43},
                "evidence": ["2"],
                "evidenceCount": 1,
                "acknowledged": None,
            },
            {
                "id": older,
                "rule": "device-farm",
                "title": "The rule device-farm",
                "level": "high",
                "at": AT,
                "firstAt": AT,
                "completedBy": "1",
                "group": {"device_token": "D" * 43},
                "evidence": ["1"],
                "evidenceCount": 1,
                "bankId": "bank-1",
                "customerId": "customer-1",
                "acknowledged": None,
            },
        ],
        "next": None,
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"rule": "device-farm"}, [0, 1]),
        ({"level": "low"}, [2]),
        ({"bankId": "bank-2"}, [1]),
        ({"deviceToken": "E" * 43}, [1]),
        ({"customerId": "customer-1"}, [0]),
        ({"acknowledged": "false"}, [0, 1, 2]),
        ({"acknowledged": "true"}, []),
        ({"from": "2026-01-31T09:32:00Z"}, [2]),
        ({"from": AT, "to": "2026-01-31T09:32:00Z"}, [0, 1]),
    ],
)
async def test_filters_narrow_the_alerts(
    trail: Trail, asked: dict[str, Any], found: list[int]
) -> None:
    raised = [
        await trail.alert("device-farm", "1", bankId="bank-1", customerId="customer-1"),
        await trail.alert(
            "device-farm",
            "2",
            at="2026-01-31T09:31:00.000Z",
            bankId="bank-2",
            deviceToken="E" * 43,
        ),
        await trail.alert("mass-unlink", "3", at="2026-01-31T09:32:00.000Z", level="low"),
    ]
    assert await ids(trail.api, **asked) == [raised[number] for number in reversed(found)]


async def test_pages_go_through_all_alerts_once(trail: Trail) -> None:
    api = trail.api
    for number in range(5):
        await trail.alert("device-farm", str(number), bankId=f"bank-{number % 2 + 1}")
    whole = await ids(api)
    found: list[str] = []
    cursor: dict[str, Any] = {}
    for size in (2, 2, 1):
        page = (await listed(api, limit=2, **cursor)).json()
        assert len(page["alerts"]) == size
        found += [one["id"] for one in page["alerts"]]
        cursor = {"cursor": page["next"]}
    assert (found, cursor) == (whole, {"cursor": None})
    cursor = {"cursor": (await listed(api, limit=1)).json()["next"]}
    for refused in (
        await listed(api, api.token("security", bank_id="bank-1"), **cursor),
        await listed(api, rule="device-farm", **cursor),
    ):
        assert (refused.status_code, refused.json()["code"]) == (400, "unknown-cursor")


async def test_an_officer_of_a_bank_sees_and_counts_no_alert_of_others(trail: Trail) -> None:
    api = trail.api
    own = await trail.alert("device-farm", "1", bankId="bank-1")
    others = await trail.alert("device-farm", "2", bankId="bank-2", customerId="customer-1")
    everyones = await trail.alert("device-farm", "3")
    officer = api.token("security", bank_id="bank-1")
    assert await ids(api, officer) == [own]
    assert await ids(api, officer, customerId="customer-1") == []
    assert (await listed(api, officer, limit=1)).json()["next"] is None
    refused = await listed(api, officer, bankId="bank-2")
    assert (refused.status_code, refused.json()["code"]) == (403, "other-bank")
    lead = api.token("lead", bank_id="bank-1")
    for alert in (others, everyones, NOBODY):
        for response in (
            await api.client.get(f"{PATH}/{alert}", headers=officer),
            await acknowledge(api, alert, lead),
        ):
            assert (response.status_code, response.json()["code"]) == (404, "no-such-alert")


async def test_an_alert_is_told_with_its_evidence(trail: Trail) -> None:
    api = trail.api
    await api.command("link", LINK)
    await api.command("link", OTHERS, api.bank("bank-2"))
    await trail.project()
    found = (await search(api, order="oldest")).json()["entries"]
    refs = [one["ref"] for one in found]
    alert = await trail.alert("device-farm", refs[-1], evidence=refs, evidenceCount=len(refs))
    response = await api.client.get(f"{PATH}/{alert}", headers=api.token("security"))
    assert response.status_code == 200
    assert response.json()["entries"] == found
    assert "Ledger-Position" in response.headers


async def test_reading_alerts_is_on_record_before_the_answer(trail: Trail) -> None:
    api = trail.api
    alert = await trail.alert("device-farm", "1", bankId="bank-1")
    await listed(api)
    await api.client.get(f"{PATH}/{alert.upper()}", headers=api.token("security"))
    await api.client.get(f"{PATH}/{NOBODY}", headers=api.token("lead", bank_id="bank-2"))
    names = ("caller", "outcome", "bankId", "count", "about")
    assert [
        (one.type, {name: one.data[name] for name in names if name in one.data})
        for one in spooled(api.settings.home)
    ] == [
        (access.ALERTS_READ, {"caller": "security", "outcome": "found", "count": 1}),
        (
            access.ALERTS_READ,
            {"caller": "security", "outcome": "found", "bankId": "bank-1", "about": alert},
        ),
        (
            access.ALERTS_READ,
            {"caller": "lead", "outcome": "not-found", "bankId": "bank-2", "about": NOBODY},
        ),
    ]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"level": "loud"}, "level"),
        ({"rule": "../rule"}, "rule"),
        ({"deviceToken": "device-1"}, "deviceToken"),
        ({"acknowledged": "perhaps"}, "acknowledged"),
        ({"from": "yesterday"}, "from"),
        ({"from": AT, "to": AT}, "to"),
        ({"cursor": "x"}, "cursor"),
        ({"deviceId": "device-1"}, None),
    ],
)
async def test_a_bad_question_names_its_field(
    trail: Trail, asked: dict[str, Any], field: str | None
) -> None:
    response = await listed(trail.api, **asked)
    assert (response.status_code, response.json().get("field")) == (400, field)
    assert "device-1" not in response.text
