"""Who held a device at a moment of the past; and what is revealed to a lead."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.moments import written
from device_ledger.wire import access, events
from tests.contract.http.conftest import ON_BOTH
from tests.contract.http.test_security_search import LINK, LOGIN, search
from tests.support.access_log import spooled
from tests.support.installation import Installation
from tests.support.trail import Trail

DEVICE = {"customerId": "customer-1", "deviceId": "device-1"}
WHY: dict[str, Any] = {"reveal": True, "reason": "case 2026-114"}


async def as_of(
    api: Installation, moment: str, headers: Mapping[str, str] | None = None, **body: Any
) -> httpx.Response:
    asked = {"deviceId": "device-1", "at": moment} | body
    return await api.client.post(
        "/v1/security/devices/as-of", json=asked, headers=headers or api.token("security")
    )


async def moments(api: Installation) -> list[str]:
    """When each event of device-1 was recorded, the oldest first."""
    found = await search(api, device={"deviceId": "device-1"}, order="oldest")
    return [one["at"] for one in found.json()["entries"] if one["log"] == "events"]


@ON_BOTH
async def test_the_holder_of_every_moment_is_told(trail: Trail) -> None:
    api = trail.api
    await api.command("link", LINK)
    await api.command("unlink", LINK)
    await api.command("link", LINK, api.bank("bank-2"))
    await trail.project()
    found = (await search(api, device={"deviceId": "device-1"}, order="oldest")).json()["entries"]
    linked, unlinked, linked_again = (
        next(one for one in found if (one["type"], one["bankId"]) == (kind, bank))
        for kind, bank in (
            (events.DEVICE_LINKED, "bank-1"),
            (events.DEVICE_UNLINKED, "bank-1"),
            (events.DEVICE_LINKED, "bank-2"),
        )
    )
    token = api.services.tokens.device("device-1")

    def held(entry: dict[str, Any]) -> dict[str, Any]:
        names = ("bankId", "customerId", "userId", "registrationId", "ref")
        return {name: entry[name] for name in names} | {"linkedAt": entry["at"]}

    for at, holder in (
        ("2020-01-01T00:00:00.000Z", None),
        (linked["at"], held(linked) if linked["at"] < unlinked["at"] else None),
        (unlinked["at"], None if unlinked["at"] < linked_again["at"] else held(linked_again)),
        (linked_again["at"], held(linked_again)),
    ):
        response = await as_of(api, at)
        assert (response.status_code, response.json()) == (
            200,
            {"deviceToken": token, "at": at, "holder": holder},
        )
    by_token = await as_of(api, linked_again["at"], deviceToken=token, deviceId=None)
    assert by_token.json()["holder"] == held(linked_again)


async def test_a_device_of_another_bank_is_not_yours_and_nothing_else(trail: Trail) -> None:
    api = trail.api
    await api.command("link", LINK, api.bank("bank-2"))
    await trail.project()
    [*_, last] = await moments(api)
    for kind in ("security", "lead"):
        response = await as_of(api, last, api.token(kind, bank_id="bank-1"))
        assert (response.status_code, response.json()) == (200, {"notYours": True})
    revealing = await as_of(api, last, api.token("lead", bank_id="bank-1"), **WHY)
    assert revealing.json() == {"notYours": True}
    nobody = await as_of(api, last, api.token("security", bank_id="bank-1"), deviceId="device-9")
    assert nobody.json()["holder"] is None
    told = [
        (one.type, one.data["outcome"], one.data.get("code")) for one in spooled(api.settings.home)
    ]
    assert told.count((access.HOLDER_ASKED, "refused", "not-yours")) == 3
    assert access.VALUES_REVEALED not in {kind for kind, *_ in told}


async def test_a_moment_that_is_to_come_is_refused(trail: Trail) -> None:
    ahead = written(datetime.now(UTC) + timedelta(minutes=1))
    response = await as_of(trail.api, ahead)
    assert (response.status_code, response.json()["field"]) == (400, "at")
    assert response.json()["detail"] == "at must not be in the future"


@pytest.mark.parametrize(
    "wrong",
    [{"deviceId": None}, {"deviceToken": "D" * 43}, {"at": None}, {"at": "2026-01-31"}, {"to": 1}],
)
async def test_a_question_without_device_or_moment_is_refused(
    trail: Trail, wrong: dict[str, Any]
) -> None:
    response = await as_of(trail.api, "2026-01-31T09:30:00Z", **wrong)
    assert (response.status_code, response.json()["code"]) == (400, "bad-input")


async def test_a_lead_with_a_reason_is_told_what_tokens_stand_for(trail: Trail) -> None:
    api = trail.api
    await api.command("login-seen", LOGIN)
    await api.command("link", LINK)
    await api.command("unlink", LINK)
    await trail.project()
    lead = api.token("lead", bank_id="bank-1")
    found = (await search(api, lead, order="oldest", **WHY)).json()["entries"]
    device = {"deviceId": "device-1"}
    assert [(one["type"], one["revealed"]) for one in found] == [
        (events.DEVICE_REGISTERED, device),
        (
            events.DEVICE_LOGIN_SEEN,
            device | {"deviceName": "Sam's phone", "ipAddress": "192.0.2.1"},
        ),
        (events.DEVICE_LINKED, device | {"phrase": "Blue heron"}),
        (events.DEVICE_UNLINKED, device),
    ]
    [record] = [one for one in spooled(api.settings.home) if one.type == access.VALUES_REVEALED]
    assert {name: record.data[name] for name in ("caller", "reason", "bankId", "count")} == {
        "caller": "lead",
        "reason": "case 2026-114",
        "bankId": "bank-1",
        "count": 4,
    }
    assert "Blue heron" not in str(record)
    at = found[2]["at"]
    holder = (await as_of(api, at, lead, **WHY)).json()["holder"]
    if found[3]["at"] > at:
        assert holder["revealed"] == device | {"phrase": "Blue heron"}


async def test_an_officer_who_is_no_lead_is_told_no_value(trail: Trail) -> None:
    api = trail.api
    await api.command("link", LINK)
    await trail.project()
    for refused in (await search(api, **WHY), await as_of(api, "2026-01-01T00:00:00Z", **WHY)):
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert access.VALUES_REVEALED not in {one.type for one in spooled(api.settings.home)}


async def test_what_was_erased_is_revealed_to_nobody_also_where_another_has_the_device(
    trail: Trail,
) -> None:
    api = trail.api
    await api.command("link", LINK)
    await api.command("unlink", LINK)
    await api.command(
        "link", {"customerId": "customer-2", "phrase": "Tern", "deviceId": "device-1"}
    )
    await trail.project()
    user_id = api.services.tokens.user_id("bank-1", "customer-1")
    await api.services.vault.erase("bank-1", user_id, 1)
    found = (await search(api, api.token("lead"), order="oldest", **WHY)).json()["entries"]
    gone = {"deviceId": None, "erased": True}
    assert [one["revealed"] for one in found if one["userId"] == user_id] == [
        gone,
        gone | {"phrase": None},
        gone,
    ]
    others = [one["revealed"] for one in found if one["userId"] != user_id]
    assert others == [{"deviceId": "device-1"}, {"deviceId": "device-1", "phrase": "Tern"}]


async def test_a_lead_of_a_bank_learns_no_device_that_only_another_bank_knows(
    trail: Trail,
) -> None:
    api = trail.api
    await api.command("link", LINK, api.bank("bank-2"))
    assert (await api.command("link", LINK)).status_code == 409
    await trail.project()
    found = await search(api, api.token("lead", bank_id="bank-1"), **WHY)
    [refused] = found.json()["entries"]
    assert (refused["type"], refused["revealed"]) == (events.COMMAND_REFUSED, {})
