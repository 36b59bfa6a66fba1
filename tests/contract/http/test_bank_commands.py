"""The four commands of a bank, word for word."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.support.installation import Installation

LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}
OTHER = {"customerId": "customer-2", "phrase": "Red fox", "deviceId": "device-2"}
DEVICE = {"customerId": "customer-1", "deviceId": "device-1"}


def told(status: int, message: str) -> tuple[int, dict[str, Any]]:
    return status, {"statusCode": status, "success": status == 200, "message": message}


async def post(
    api: Installation, name: str, body: dict[str, Any], bank: str = "bank-1"
) -> tuple[int, dict[str, Any]]:
    response = await api.command(name, body, api.bank(bank))
    assert "Ledger-Position" in response.headers
    return response.status_code, response.json()


async def test_a_device_is_linked_and_again_the_same(api: Installation) -> None:
    assert await post(api, "link", LINK) == told(200, "Device linked successfully")
    assert await post(api, "link", LINK) == told(200, "Device linked successfully")


async def test_the_phrase_is_compared_without_case_width_and_white_space(
    api: Installation,
) -> None:
    await post(api, "link", LINK)
    folded = LINK | {"phrase": " \uff22LUE\u00a0\n HERON "}
    assert await post(api, "link", folded) == told(200, "Device linked successfully")


@pytest.mark.parametrize("bank", ["bank-1", "bank-2"])
async def test_a_device_of_another_customer_is_refused_in_the_same_words_at_any_bank(
    api: Installation, bank: str
) -> None:
    await post(api, "link", LINK)
    assert await post(api, "link", OTHER | {"deviceId": "device-1"}, bank) == told(
        409, "Device already linked to another customer"
    )


async def test_a_phrase_of_another_customer_is_refused(api: Installation) -> None:
    await post(api, "link", LINK)
    assert await post(api, "link", OTHER | {"phrase": "blue HERON"}) == told(
        409, "Phrase already belongs to another customer"
    )


async def test_another_bank_may_use_the_same_phrase(api: Installation) -> None:
    await post(api, "link", LINK)
    same = OTHER | {"phrase": "Blue heron"}
    assert await post(api, "link", same, "bank-2") == told(200, "Device linked successfully")


async def test_a_customer_has_one_phrase(api: Installation) -> None:
    await post(api, "link", LINK)
    assert await post(api, "link", LINK | {"phrase": "Red fox", "deviceId": "device-3"}) == told(
        409, "Customer already has another phrase"
    )


async def test_device_comes_before_phrase_and_phrase_before_own_phrase(api: Installation) -> None:
    await post(api, "link", LINK)
    await post(api, "link", OTHER)
    all_wrong = OTHER | {"phrase": "Blue heron", "deviceId": "device-1"}
    assert (await post(api, "link", all_wrong))[1]["message"].startswith("Device already")
    two_wrong = OTHER | {"phrase": "Blue heron", "deviceId": "device-3"}
    assert (await post(api, "link", two_wrong))[1]["message"].startswith("Phrase already")


@pytest.mark.parametrize("chosen", [{"max_active_devices": 1}])
async def test_one_device_more_than_the_limit_is_refused(api: Installation) -> None:
    await post(api, "link", LINK)
    assert await post(api, "link", LINK | {"deviceId": "device-3"}) == told(
        409, "Customer has the most active devices that one may have"
    )


async def test_a_link_is_ended_by_naming_all_of_it(api: Installation) -> None:
    await post(api, "link", LINK)
    for wrong in ({"customerId": "customer-2"}, {"phrase": "Red fox"}, {"deviceId": "device-9"}):
        assert await post(api, "unlink", LINK | wrong) == told(404, "Device not found in system")
    assert await post(api, "unlink", LINK, "bank-2") == told(404, "Device not found in system")
    assert await post(api, "unlink", LINK) == told(200, "Device unlinked successfully")
    assert await post(api, "unlink", LINK) == told(404, "Device not found in system")
    freed = OTHER | {"phrase": "Blue heron", "deviceId": "device-1"}
    assert await post(api, "link", freed) == told(200, "Device linked successfully")


async def test_a_login_answers_user_and_registration(api: Installation) -> None:
    first, again = [await post(api, "login-seen", DEVICE) for _ in range(2)]
    assert first == again
    status, content = first
    data = content.pop("data")
    assert (status, content) == told(200, "Device login recorded")
    assert data["userId"] == api.services.tokens.user_id("bank-1", "customer-1")
    assert set(data) == {"userId", "registrationId"}


@pytest.mark.parametrize(
    ("address", "country", "cell"),
    [
        ("1.1.1.1", "AU", "-33.75+151.25"),
        ("::ffff:1.1.1.1", "AU", "-33.75+151.25"),
        ("10.0.0.1", None, None),
        (None, None, None),
    ],
)
async def test_a_login_is_recorded_with_country_and_cell_of_its_address(
    api: Installation, address: str | None, country: str | None, cell: str | None
) -> None:
    await post(api, "login-seen", DEVICE | ({"ipAddress": address} if address else {}))
    store = api.services.ledger.events.store
    [stored] = store.select_notifications(0, 10, topics=["device.login_seen.v1"])
    data = orjson.loads(stored.state)["data"]
    assert (data.get("country"), data.get("cell")) == (country, cell)


async def test_a_customer_id_that_is_a_uuid_is_the_user_id_in_lower_case(
    api: Installation,
) -> None:
    customer = "5B2F0F6E-0B7E-4A39-9D5B-2F9F6F5C7A42"
    _, content = await post(api, "login-seen", DEVICE | {"customerId": customer})
    assert content["data"]["userId"] == customer.lower()


async def test_a_login_may_be_at_most_five_minutes_ahead(api: Installation) -> None:
    now = datetime.now(UTC)
    for ahead, status in ((timedelta(minutes=4), 200), (timedelta(minutes=6), 400)):
        seen_at = (now + ahead).isoformat()
        assert (await api.command("login-seen", DEVICE | {"seenAt": seen_at})).status_code == status


async def test_a_device_is_deactivated_and_its_link_ends(api: Installation) -> None:
    await post(api, "link", LINK)
    for _ in range(2):
        assert await post(api, "deactivate", DEVICE) == told(200, "Device deactivated successfully")
    assert await post(api, "unlink", LINK) == told(404, "Device not found in system")
    nobodys = DEVICE | {"deviceId": "device-9"}
    assert await post(api, "deactivate", nobodys) == told(404, "Device not found in system")
    assert await post(api, "deactivate", DEVICE, "bank-2") == told(
        404, "Device not found in system"
    )
