"""Both user families: Netevia's settings page and Banno's registrations."""

import time
from typing import Any

import jwt
import pytest

from device_ledger.issuer import EmbeddedIssuer
from device_ledger.settings import DEV_ISSUER
from tests.support.installation import BANNO, Installation

LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}
SEEN = {
    "customerId": "customer-1",
    "deviceId": "phone/2+x",
    "seenAt": "2026-01-31T10:30:00.1239+01:00",
    "ipAddress": "192.0.2.17",
    "deviceName": "Sam's phone",
    "deviceType": "Mobile",
    "deviceInfo": {"model": "SM-S727VL", "brand": "Samsung"},
}
REMOVED = (200, {"message": "Device successfully removed"})
READ_ONLY = "https://api.banno.com/consumer/auth/devices.readonly"


def registrations(api: Installation, customer: str = "customer-1", bank: str = "bank-1") -> str:
    return f"{BANNO}/users/{api.services.tokens.user_id(bank, customer)}/devices"


async def listed(api: Installation, path: str, headers: dict[str, str] | None = None) -> Any:
    response = await api.client.get(path, headers=headers or api.user())
    assert response.status_code == 200, response.text
    return response.json()


async def prepare(api: Installation) -> None:
    """A device that was linked and never seen, and one that was seen."""
    assert (await api.command("link", LINK)).status_code == 200
    assert (await api.command("login-seen", SEEN)).status_code == 200
    await api.project()


async def test_netevia_lists_active_devices_the_newest_login_first(api: Installation) -> None:
    await prepare(api)
    devices = await listed(api, "/settings/devices")
    registered_at = devices[0].pop("lastLogin")
    assert registered_at > "2026-01-31T09:30:00.123Z"
    assert devices == [
        {
            "deviceId": "device-1",
            "deviceName": "Unknown device",
            "deviceType": "Unknown",
            "ipAddress": None,
        },
        {
            "deviceId": "phone/2+x",
            "deviceName": "Sam's phone",
            "deviceType": "Mobile",
            "ipAddress": "192.0.2.17",
            "lastLogin": "2026-01-31T09:30:00.123Z",
        },
    ]


async def test_netevia_removes_by_the_percent_encoded_rest_of_the_path(api: Installation) -> None:
    await prepare(api)
    for path in ("phone%2F2%2Bx", "phone/2+x"):
        response = await api.client.delete(f"/settings/devices/{path}", headers=api.user())
        assert (response.status_code, response.json()) == REMOVED
    await api.project()
    assert [one["deviceId"] for one in await listed(api, "/settings/devices")] == ["device-1"]


async def test_netevia_tells_404_for_a_device_that_is_not_the_users(api: Installation) -> None:
    await prepare(api)
    for headers in (api.user("customer-2"), api.user(bank_id="bank-2")):
        response = await api.client.delete("/settings/devices/device-1", headers=headers)
        assert (response.status_code, response.json()) == (
            404,
            {"message": "Device not found in system"},
        )


@pytest.mark.parametrize("path", ["", "%20", "..."])
async def test_netevia_refuses_what_is_no_device_id(api: Installation, path: str) -> None:
    response = await api.client.delete(f"/settings/devices/{path}", headers=api.user())
    assert (response.status_code, response.json()) == (400, {"message": "Invalid device ID format"})


async def test_removing_a_device_ends_its_link(api: Installation) -> None:
    await prepare(api)
    await api.client.delete("/settings/devices/device-1", headers=api.user())
    await api.project()
    found = await api.client.post(
        "/v1/customer/device/lookup", json={"deviceId": "device-1"}, headers=api.merchant()
    )
    assert found.status_code == 404


async def test_a_removal_is_decided_before_any_read_model_knows_the_device(
    api: Installation,
) -> None:
    await api.command("link", LINK)
    response = await api.client.delete("/settings/devices/device-1", headers=api.user())
    assert (response.status_code, response.json()) == REMOVED


async def test_banno_lists_registrations(api: Installation) -> None:
    await prepare(api)
    found = (await listed(api, registrations(api)))["registrations"]
    never_seen, seen = found
    assert never_seen["lastSeenAt"] == never_seen["createdAt"]
    assert seen == {
        "jwtDeviceRegistrationId": seen["jwtDeviceRegistrationId"],
        "institutionId": "3c35f74f-9d11-52fd-bc04-5cc4f058d7f8",
        "deviceId": "phone/2+x",
        "deviceInfo": {"model": "SM-S727VL", "brand": "Samsung"},
        "createdAt": seen["createdAt"],
        "updatedAt": seen["createdAt"],
        "lastSeenAt": "2026-01-31T09:30:00.123Z",
    }
    assert never_seen["deviceInfo"] == {}


async def test_an_institution_is_the_bank_where_that_is_a_uuid(api: Installation) -> None:
    bank = "5B2F0F6E-0B7E-4A39-9D5B-2F9F6F5C7A42"
    await api.command("link", LINK, api.bank(bank))
    await api.project()
    path = registrations(api, bank=bank)
    [found] = (await listed(api, path, api.user(bank_id=bank)))["registrations"]
    assert found["institutionId"] == bank.lower()


async def test_banno_shows_ended_registrations_where_asked(api: Installation) -> None:
    await prepare(api)
    path = registrations(api)
    [first, _] = (await listed(api, path))["registrations"]
    one = f"{path}/{first['jwtDeviceRegistrationId'].upper()}"
    for _ in range(2):
        assert (await api.client.delete(one, headers=api.user())).status_code == 204
    await api.project()
    active = (await listed(api, path))["registrations"]
    everything = (await listed(api, f"{path}?onlyActive=false"))["registrations"]
    assert [("deletedAt" in one, one["deviceId"]) for one in active] == [(False, "phone/2+x")]
    assert sorted(("deletedAt" in one, one["deviceId"]) for one in everything) == [
        (False, "phone/2+x"),
        (True, "device-1"),
    ]


async def test_banno_removes_all_and_is_content_with_none(api: Installation) -> None:
    await prepare(api)
    for _ in range(2):
        response = await api.client.delete(registrations(api), headers=api.user())
        assert (response.status_code, response.content) == (204, b"")
    await api.project()
    assert await listed(api, registrations(api)) == {"registrations": []}
    nobody = f"{registrations(api)}/7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"
    assert (await api.client.delete(nobody, headers=api.user())).status_code == 204


async def test_banno_keeps_another_users_devices_to_that_user(api: Installation) -> None:
    await prepare(api)
    path = registrations(api)
    for headers in (api.user("customer-2"), api.user(bank_id="bank-2"), api.bank()):
        for method in ("GET", "DELETE"):
            response = await api.client.request(method, path, headers=headers)
            assert (response.status_code, response.json()) == (
                403,
                "The token is not for this user's devices",
            )


async def test_an_admin_does_the_same_for_any_user_of_the_own_bank(api: Installation) -> None:
    await prepare(api)
    path = registrations(api)
    admin = api.token("admin", bank_id="bank-1")
    assert len((await listed(api, path, admin))["registrations"]) == 2
    stranger = api.token("admin", bank_id="bank-2")
    assert await listed(api, path, stranger) == {"registrations": []}
    assert (await api.client.delete(path, headers=stranger)).status_code == 204
    await api.project()
    assert len((await listed(api, path, admin))["registrations"]) == 2
    assert (await api.client.delete(path, headers=admin)).status_code == 204
    await api.project()
    assert await listed(api, path, admin) == {"registrations": []}


async def test_a_user_token_may_carry_the_user_id_itself(api: Installation) -> None:
    await prepare(api)
    user_id = api.services.tokens.user_id("bank-1", "customer-1")
    headers = api.user(user_id.upper())
    assert len(await listed(api, "/settings/devices", headers)) == 2
    assert len((await listed(api, registrations(api), headers))["registrations"]) == 2


async def test_a_token_that_only_reads_removes_nothing(api: Installation) -> None:
    await prepare(api)
    headers = api.token("user", bank_id="bank-1", user_id="customer-1", scope=READ_ONLY)
    assert len(await listed(api, "/settings/devices", headers)) == 2
    paths = ("/settings/devices/device-1", registrations(api))
    removals = [await api.client.delete(path, headers=headers) for path in paths]
    assert [one.status_code for one in removals] == [403, 403]


@pytest.mark.parametrize(
    "path", ["/users/me/devices", "/users/7f1c2f0e0b7e4a399d5b2f9f6f5c7a42/devices"]
)
async def test_banno_refuses_user_ids_that_are_no_uuid(api: Installation, path: str) -> None:
    response = await api.client.get(BANNO + path, headers=api.user())
    assert (response.status_code, response.json()) == (400, "userId is not valid")


@pytest.mark.parametrize("chosen", [{"step_up_max_age": 300, "step_up_acr": "gold,silver"}])
async def test_a_removal_asks_for_a_recent_login_where_set(api: Installation) -> None:
    await prepare(api)
    now = int(time.time())
    unfit: list[dict[str, Any]] = [
        {"auth_time": now - 301},
        {"auth_time": now + 600},
        {"auth_time": None},
    ]
    enough: list[dict[str, Any]] = [
        {"auth_time": now - 290},
        {"auth_time": now - 301, "acr": "gold"},
    ]
    for path in ("/settings/devices/device-1", registrations(api)):
        for claims in unfit:
            response = await api.client.delete(path, headers=login(api, claims))
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == (
                'Bearer error="insufficient_user_authentication",'
                ' acr_values="gold silver", max_age=300'
            )
            assert (
                await api.client.get("/settings/devices", headers=login(api, claims))
            ).is_success
    for claims in enough:
        response = await api.client.delete(registrations(api), headers=login(api, claims))
        assert response.status_code == 204


def login(api: Installation, claims: dict[str, Any]) -> dict[str, str]:
    issuer = EmbeddedIssuer.open(api.settings)
    text = issuer.mint("user", bank_id="bank-1", user_id="customer-1")
    told = jwt.decode(
        text, issuer.public_key, ["EdDSA"], audience="device-ledger", issuer=DEV_ISSUER
    )
    told = {name: value for name, value in (told | claims).items() if value is not None}
    again = jwt.encode(told, issuer._key, "EdDSA", {"kid": issuer.key_id})
    return {"Authorization": f"Bearer {again}"}
