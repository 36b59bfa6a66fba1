"""Merchants look devices up."""

import asyncio
from typing import Any

import httpx
import pytest

from api.rates import FEW_UNKNOWN
from tests.support.installation import Installation

LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}
FOUND = {
    "deviceId": "device-1",
    "phrase": "Blue heron",
    "customerId": "customer-1",
    "bankId": "bank-1",
}
UNKNOWN = {"statusCode": 404, "success": False, "message": "Device not found in system"}


async def lookup(api: Installation, device_id: str, **headers: str) -> httpx.Response:
    return await api.client.post(
        "/v1/customer/device/lookup",
        json={"deviceId": device_id},
        headers=api.merchant() | headers,
    )


async def batch(api: Installation, device_ids: list[Any]) -> httpx.Response:
    return await api.client.post(
        "/v1/customer/device/lookup/batch", json={"deviceIds": device_ids}, headers=api.merchant()
    )


async def test_a_linked_device_is_told_and_nothing_more(api: Installation) -> None:
    await api.command("link", LINK)
    await api.project()
    response = await lookup(api, "device-1")
    assert (response.status_code, response.json()) == (
        200,
        {
            "statusCode": 200,
            "success": True,
            "message": "Device lookup successful",
            "data": FOUND,
        },
    )


@pytest.mark.parametrize("ending", ["unlink", "deactivate"])
async def test_a_device_whose_link_has_ended_is_not_found(api: Installation, ending: str) -> None:
    await api.command("link", LINK)
    body = LINK if ending == "unlink" else {k: v for k, v in LINK.items() if k != "phrase"}
    await api.command(ending, body)
    await api.project()
    response = await lookup(api, "device-1")
    assert (response.status_code, response.json()) == (404, UNKNOWN)


async def test_a_device_that_only_logged_in_is_not_found(api: Installation) -> None:
    await api.command("login-seen", {"customerId": "customer-1", "deviceId": "device-1"})
    await api.project()
    assert (await lookup(api, "device-1")).status_code == 404


async def test_a_customer_whose_key_is_gone_reads_as_absent(api: Installation) -> None:
    await api.command("link", LINK)
    await api.project()
    user_id = api.services.tokens.user_id("bank-1", "customer-1")
    await api.services.vault.erase("bank-1", user_id, 1)
    assert (await lookup(api, "device-1")).status_code == 404
    assert (await batch(api, ["device-1"])).json()["data"]["found"] == []
    listed = await api.client.get("/v1/bank/devices/list", headers=api.bank())
    assert listed.json()["data"]["devices"] == []


async def test_many_are_answered_in_the_order_asked(api: Installation) -> None:
    await api.command("link", LINK)
    await api.command("link", LINK | {"deviceId": "device-2"})
    await api.project()
    response = await batch(api, ["x2", "device-2", "x1", "device-1", "device-2"])
    second = FOUND | {"deviceId": "device-2"}
    assert (response.status_code, response.json()["data"]) == (
        200,
        {"found": [second, FOUND, second], "notFound": ["x2", "x1"]},
    )


@pytest.mark.parametrize(
    ("device_ids", "message"),
    [
        ([], "deviceIds: List should have at least 1 item after validation, not 0"),
        (["d"] * 101, "deviceIds: List should have at most 100 items after validation, not 101"),
        (["d", "?"], "Invalid device ID format"),
        (["d", 7], "Invalid device ID format"),
    ],
)
async def test_a_batch_has_1_to_100_device_ids(
    api: Installation, device_ids: list[Any], message: str
) -> None:
    response = await batch(api, device_ids)
    assert (response.status_code, response.json()["message"]) == (400, message)


@pytest.mark.parametrize("chosen", [{"rate_unknown_lookups": 3}])
async def test_after_too_many_unknown_devices_no_lookup_tells_anything(api: Installation) -> None:
    await api.command("link", LINK)
    await api.project()
    assert (await lookup(api, "x1")).status_code == 404
    assert (await batch(api, ["x2", "x3"])).status_code == 200
    refused = [await lookup(api, "x4"), await lookup(api, "device-1"), await batch(api, ["x5"])]
    assert [(one.status_code, "Retry-After" in one.headers) for one in refused] == [(429, True)] * 3
    other = await api.client.post(
        "/v1/customer/device/lookup", json={"deviceId": "device-1"}, headers=api.merchant("shop-2")
    )
    assert other.status_code == 200


@pytest.mark.parametrize("chosen", [{"rate_unknown_lookups_together": 4}])
async def test_many_merchants_that_ask_for_few_unknown_devices_are_limited_together(
    api: Installation,
) -> None:
    await api.command("link", LINK)
    await api.project()

    async def asked(merchant: str, device_id: str) -> int:
        body, headers = {"deviceId": device_id}, api.merchant(merchant)
        response = await api.client.post("/v1/customer/device/lookup", json=body, headers=headers)
        return response.status_code

    await batch(api, ["x1", "x2", "x3", "x4"])
    for merchant in ("shop-2", "shop-3"):
        told = [await asked(merchant, f"x{number}") for number in range(FEW_UNKNOWN + 1)]
        assert told == [404] * FEW_UNKNOWN + [429]
        assert await asked(merchant, "device-1") == 429
    assert [await asked("shop-4", "device-1") for _ in range(10)] == [200] * 10


@pytest.mark.parametrize("chosen", [{"rate_unknown_lookups": 3}])
async def test_lookups_at_once_tell_no_more_than_one_after_the_other(api: Installation) -> None:
    linked = await api.command("link", LINK)
    position = {"Ledger-Min-Position": linked.headers["Ledger-Position"]}
    waiting = asyncio.gather(
        *(lookup(api, device_id, **position) for device_id in ("x1", "device-1", "x2"))
    )
    # They were let in, and wait, when the last of the quota is used.
    await asyncio.sleep(0)
    assert (await batch(api, ["x3", "x4", "x5"])).status_code == 200
    await api.project()
    assert [one.status_code for one in await waiting] == [429] * 3


@pytest.mark.parametrize("chosen", [{"rate_lookups": 3}])
async def test_a_batch_counts_each_of_its_devices(api: Installation) -> None:
    assert (await batch(api, ["x1", "x2", "x3", "x4"])).status_code == 429
    assert (await batch(api, ["x1", "x2"])).status_code == 200
    refused = await lookup(api, "x1")
    assert refused.status_code == 429
    assert refused.headers["RateLimit-Policy"] == '"lookups";q=3;w=60'
