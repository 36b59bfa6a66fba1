"""Idempotency-Key: the first answer again, byte for byte, and one decision."""

import asyncio
from typing import Any

import httpx

from tests.support.installation import Installation

LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}
REUSED = "Idempotency-Key was already used with another request"


async def post(
    api: Installation, name: str, body: dict[str, Any], key: str, bank: str = "bank-1"
) -> httpx.Response:
    return await api.command(name, body, api.bank(bank) | {"Idempotency-Key": key})


def events(api: Installation) -> int:
    return api.services.ledger.events.recorder.max_notification_id() or 0


async def test_the_same_key_and_body_get_the_first_answer_and_write_nothing(
    api: Installation,
) -> None:
    login = {"customerId": "customer-1", "deviceId": "device-1"}
    first = await post(api, "login-seen", login, "key-1")
    written = events(api)
    again = await post(api, "login-seen", login, "key-1")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert events(api) == written


async def test_the_first_answer_stands_also_where_it_would_be_another_now(
    api: Installation,
) -> None:
    first = await post(api, "unlink", LINK, "key-1")
    await post(api, "link", LINK, "key-2")
    again = await post(api, "unlink", LINK, "key-1")
    assert (first.status_code, again.status_code, again.content) == (404, 404, first.content)


async def test_the_same_key_with_another_body_is_refused(api: Installation) -> None:
    await post(api, "link", LINK, "key-1")
    refused = await post(api, "link", LINK | {"deviceId": "device-2"}, "key-1")
    assert (refused.status_code, refused.json()) == (
        422,
        {"statusCode": 422, "success": False, "message": REUSED},
    )


async def test_a_key_belongs_to_its_caller_and_path(api: Installation) -> None:
    await post(api, "link", LINK, "key-1")
    other = {"customerId": "customer-2", "phrase": "Red fox", "deviceId": "device-2"}
    answers = [
        await post(api, "link", other, "key-1", "bank-2"),
        await post(api, "unlink", LINK, "key-1"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_bad_input_is_not_kept(api: Installation) -> None:
    bad = await post(api, "link", LINK | {"deviceId": "?"}, "key-1")
    good = await post(api, "link", LINK, "key-1")
    assert (bad.status_code, good.status_code) == (400, 200)


async def test_of_many_at_once_one_decides_and_all_get_its_answer(api: Installation) -> None:
    login = {"customerId": "customer-1", "deviceId": "device-1"}
    answers = await asyncio.gather(*(post(api, "login-seen", login, "key-1") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


async def test_keys_and_bodies_are_kept_as_keyed_hashes_only(api: Installation) -> None:
    key = "key-planted-7d2c"
    await post(api, "link", LINK | {"phrase": "phrase-planted-7d2c"}, key)
    files = [path for path in api.settings.home.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert key.encode() not in content
        assert b"phrase-planted" not in content
