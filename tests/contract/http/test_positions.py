"""Reading one's own writes."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import httpx
import pytest

from projections.readers import covers
from tests.contract.http.conftest import ON_BOTH
from tests.support.installation import BANNO, Installation

LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}


async def reads(api: Installation, position: str) -> Sequence[httpx.Response]:
    """Every read of the API, at least at that position."""
    at_least = {"Ledger-Min-Position": position}
    user_id = api.services.tokens.user_id("bank-1", "customer-1")
    client, device = api.client, {"deviceId": "device-1"}
    return await asyncio.gather(
        client.get("/v1/bank/devices/list", headers=api.bank() | at_least),
        client.post("/v1/customer/device/lookup", json=device, headers=api.merchant() | at_least),
        client.post(
            "/v1/customer/device/lookup/batch",
            json={"deviceIds": ["device-1"]},
            headers=api.merchant() | at_least,
        ),
        client.get("/settings/devices", headers=api.user() | at_least),
        client.get(f"{BANNO}/users/{user_id}/devices", headers=api.user() | at_least),
    )


def position(api: Installation, response: httpx.Response) -> dict[int, int]:
    return api.services.positions.decode(response.headers["Ledger-Position"])


@ON_BOTH
async def test_a_read_with_a_position_waits_for_the_projections(api: Installation) -> None:
    linked = await api.command("link", LINK)
    waiting = asyncio.create_task(reads(api, linked.headers["Ledger-Position"]))
    await asyncio.sleep(0)
    await api.project()
    responses = await waiting
    assert [one.status_code for one in responses] == [200] * 5
    assert all(covers(position(api, one), position(api, linked)) for one in responses)


async def test_a_read_that_waits_in_vain_is_a_503(api: Installation) -> None:
    linked = await api.command("link", LINK)
    responses = await reads(api, linked.headers["Ledger-Position"])
    assert [(one.status_code, one.headers["Retry-After"]) for one in responses] == [(503, "1")] * 5
    assert (await api.client.get("/settings/devices", headers=api.user())).json() == []


@pytest.mark.parametrize("text", ["", "made-up", "A" * 30, "\u00e9".encode(), "A" * 5000])
async def test_a_position_that_was_never_given_is_refused(api: Installation, text: Any) -> None:
    responses = await reads(api, text)
    assert [one.status_code for one in responses] == [400] * 5
    words = "Ledger-Min-Position is no position of this ledger"
    assert responses[0].json()["message"] == words
    assert responses[4].json() == words


@ON_BOTH
async def test_every_command_tells_a_position_that_covers_those_before(api: Installation) -> None:
    commands = [
        ("link", LINK),
        ("link", LINK),
        ("link", LINK | {"customerId": "customer-2"}),
        ("login-seen", {"customerId": "customer-1", "deviceId": "device-1"}),
        ("unlink", LINK),
        ("unlink", LINK),
        ("deactivate", {"customerId": "customer-1", "deviceId": "device-1"}),
    ]
    responses = [await api.command(name, body) for name, body in commands]
    assert [one.status_code for one in responses] == [200, 200, 409, 200, 200, 404, 200]
    positions = [position(api, one) for one in responses]
    for earlier, later in pairwise(positions):
        assert covers(later, earlier)
    assert positions[-1] == api.services.ledger.heads()


async def test_removals_tell_a_position_too(api: Installation) -> None:
    await api.command("link", LINK)
    user_id = api.services.tokens.user_id("bank-1", "customer-1")
    for path in ("/settings/devices/device-1", f"{BANNO}/users/{user_id}/devices"):
        response = await api.client.delete(path, headers=api.user())
        assert position(api, response) == api.services.ledger.heads()
