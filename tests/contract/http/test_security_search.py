"""The audit trail is searched."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from api.security.entries import told
from device_ledger.wire import access, events
from tests.contract.http.conftest import ON_BOTH
from tests.support.access_log import spooled
from tests.support.installation import Installation
from tests.support.trail import Trail

LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}
OTHERS = {"customerId": "customer-2", "phrase": "Grey heron", "deviceId": "device-2"}
LOGIN = {
    "customerId": "customer-1",
    "deviceId": "device-1",
    "deviceName": "Sam's phone",
    "ipAddress": "192.0.2.1",
}


async def search(
    api: Installation, headers: Mapping[str, str] | None = None, **body: Any
) -> httpx.Response:
    return await api.client.post(
        "/v1/security/audit/search", json=body, headers=headers or api.token("security")
    )


async def types(
    api: Installation, headers: Mapping[str, str] | None = None, **body: Any
) -> list[str]:
    """The types of what is found, in order."""
    response = await search(api, headers, **body)
    assert response.status_code == 200, response.text
    return [entry["type"] for entry in response.json()["entries"]]


async def some_history(trail: Trail) -> None:
    """Bank-1 links device-1, bank-2 device-2 and in vain device-1; a merchant looks one up."""
    api = trail.api
    await api.command("link", LINK)
    await api.command("link", OTHERS, api.bank("bank-2"))
    assert (await api.command("link", LINK, api.bank("bank-2"))).status_code == 409
    await api.project()
    await api.client.post(
        "/v1/customer/device/lookup", json={"deviceId": "device-1"}, headers=api.merchant()
    )
    await trail.project()


@ON_BOTH
async def test_events_refusals_and_lookups_are_found_newest_first(trail: Trail) -> None:
    await some_history(trail)
    assert await types(trail.api) == [
        access.DEVICE_LOOKED_UP,
        events.COMMAND_REFUSED,
        events.DEVICE_LINKED,
        events.DEVICE_REGISTERED,
        events.DEVICE_LINKED,
        events.DEVICE_REGISTERED,
    ]
    assert await types(trail.api, order="oldest", limit=2, bankId="bank-2") == [
        events.DEVICE_REGISTERED,
        events.DEVICE_LINKED,
    ]


async def test_an_entry_tells_tokens_and_nothing_sealed(trail: Trail) -> None:
    await some_history(trail)
    api = trail.api
    [entry] = (
        await search(api, device={"deviceId": "device-1"}, types=[events.DEVICE_LINKED])
    ).json()["entries"]
    stored = api.services.ledger.events.store.select_notifications(int(entry["ref"]), 1)[0]
    assert entry | {"at": "", "registrationId": "", "requestId": ""} == {
        "ref": str(stored.id),
        "log": "events",
        "at": "",
        "seq": stored.id,
        "type": events.DEVICE_LINKED,
        "outcome": "done",
        "deviceToken": api.services.tokens.device("device-1"),
        "bankId": "bank-1",
        "customerId": "customer-1",
        "userId": api.services.tokens.user_id("bank-1", "customer-1"),
        "registrationId": "",
        "actor": "dev-bank",
        "requestId": "",
        "phraseToken": api.services.tokens.phrase("bank-1", "blue heron"),
    }


async def test_a_device_is_found_by_its_id_and_by_its_token(trail: Trail) -> None:
    await some_history(trail)
    token = trail.api.services.tokens.device("device-1")
    by_id = await search(trail.api, device={"deviceId": "device-1"})
    by_token = await search(trail.api, device={"deviceToken": token})
    assert [one["type"] for one in by_id.json()["entries"]] == [
        access.DEVICE_LOOKED_UP,
        events.COMMAND_REFUSED,
        events.DEVICE_LINKED,
        events.DEVICE_REGISTERED,
    ]
    assert by_token.json() == by_id.json()
    assert "device-1" not in by_id.text


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"bankId": "bank-1", "customerId": "customer-1"}, 3),
        ({"bankId": "bank-2", "customerId": "customer-1"}, 1),
        ({"merchantId": "shop-1"}, 1),
        ({"actor": "dev-merchant"}, 1),
        ({"outcome": "refused"}, 1),
        ({"types": ["device.linked.v1", "command.refused.v1"]}, 3),
        ({"types": ["device.linked.v1"], "outcome": "refused"}, 0),
        ({"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00+01:00"}, 0),
        ({"from": "2020-01-01T00:00:00Z"}, 6),
    ],
)
async def test_filters_narrow_what_is_found(
    trail: Trail, asked: dict[str, Any], found: int
) -> None:
    await some_history(trail)
    assert len(await types(trail.api, **asked)) == found


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_pages_go_through_everything_once(trail: Trail, order: str) -> None:
    await some_history(trail)
    whole = (await search(trail.api, order=order)).json()
    assert (len(whole["entries"]), whole["next"]) == (6, None)
    found: list[Any] = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await search(trail.api, order=order, limit=2, **cursor)).json()
        assert len(page["entries"]) == 2
        found += page["entries"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == whole["entries"]


async def test_a_cursor_is_good_for_its_own_question_and_narrowing_alone(trail: Trail) -> None:
    await some_history(trail)
    api = trail.api
    officer = api.token("security", bank_id="bank-1")
    cursor = (await search(api, officer, limit=1)).json()["next"]
    assert cursor is not None
    assert (await search(api, officer, limit=3, cursor=cursor)).status_code == 200
    wrong = [
        await search(api, officer, cursor=cursor, order="oldest"),
        await search(api, officer, cursor=cursor, outcome="done"),
        await search(api, cursor=cursor, bankId="bank-1"),
        await search(api, api.token("security", bank_id="bank-2"), cursor=cursor),
        await search(api, officer, cursor="x" * 40),
    ]
    assert [(one.status_code, one.json()["code"]) for one in wrong] == [(400, "unknown-cursor")] * 5


async def test_a_search_sees_at_least_the_position_it_names(trail: Trail) -> None:
    api = trail.api
    linked = await api.command("link", LINK)
    position = {"Ledger-Min-Position": linked.headers["Ledger-Position"]}
    early = await search(api, api.token("security") | position)
    assert (early.status_code, early.json()["code"]) == (503, "behind")
    await trail.project()
    response = await search(api, api.token("security") | position)
    assert (response.status_code, len(response.json()["entries"])) == (200, 2)
    shown, asked = (
        api.services.positions.decode(one.headers["Ledger-Position"]) for one in (response, linked)
    )
    assert {partition: last for partition, last in shown.items() if last} == asked


async def test_an_officer_of_a_bank_sees_that_bank_alone(trail: Trail) -> None:
    await some_history(trail)
    api = trail.api
    officer = api.token("security", bank_id="bank-1")
    found = (await search(api, officer)).json()["entries"]
    assert {one["bankId"] for one in found} == {"bank-1"}
    assert len(found) == 3
    # What bank-2 holds, and what it tried, is as if it were not.
    assert await types(api, officer, device={"deviceId": "device-2"}) == []
    assert await types(api, officer, customerId="customer-2") == []
    assert await types(api, officer, outcome="refused") == []
    user = api.services.tokens.user_id("bank-2", "customer-2")
    assert await types(api, officer, userId=user) == []
    for kind in ("security", "lead"):
        refused = await search(api, api.token(kind, bank_id="bank-1"), bankId="bank-2")
        assert (refused.status_code, refused.json()["code"]) == (403, "other-bank")


async def test_an_officer_of_a_bank_sees_the_searches_of_the_own_bank_alone(
    trail: Trail,
) -> None:
    api = trail.api
    await search(api, api.token("security", bank_id="bank-1"))
    await search(api, api.token("security", bank_id="bank-2"))
    await search(api)
    await search(api, bankId="bank-1")
    await trail.project()
    officer = api.token("security", bank_id="bank-1")
    found = (await search(api, officer, types=[access.TRAIL_SEARCHED])).json()["entries"]
    assert [one["bankId"] for one in found] == ["bank-1", "bank-1"]


async def test_each_search_is_on_record_before_its_answer(trail: Trail) -> None:
    await some_history(trail)
    api = trail.api
    before = len(spooled(api.settings.home))
    officer = api.token("security", bank_id="bank-1")
    await search(api, officer, device={"deviceId": "device-1"}, customerId="customer-1")
    await search(api, outcome="not-found")
    await search(api, officer, bankId="bank-2")
    told_records = [
        (one.type, one.subject, one.data["outcome"], one.data.get("bankId"), one.data.get("count"))
        for one in spooled(api.settings.home)[before:]
    ]
    assert told_records == [
        (access.TRAIL_SEARCHED, api.services.tokens.device("device-1"), "found", "bank-1", 3),
        (access.TRAIL_SEARCHED, None, "not-found", None, 0),
        (access.REQUEST_REFUSED, None, "refused", "bank-1", None),
    ]


async def test_an_entry_that_says_all_has_every_field_of_the_trail() -> None:
    from device_ledger.wire.trail import Entry

    values = {name: name for name in Entry._fields}
    assert list(told(Entry(**values)).values()) == list(Entry._fields)  # type: ignore[arg-type]
