"""What callers see while Kafka lacks more events than it may: here there is no Kafka at all."""

import asyncio
from typing import Any

import httpx
import pytest

from api import backlog
from api.backlog import RETRY_SECONDS
from device_ledger.trees.names import ensure_log_key
from tests.support.installation import BANNO, Installation

SMALL = pytest.mark.parametrize("chosen", [{"backlog_events": 1}])
LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}
WORDS = "Too many events are not on Kafka yet: commands are taken again once it has them"


@pytest.fixture(autouse=True)
def looked_at_by_the_test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first look at the start."""
    monkeypatch.setattr(backlog, "LOOK_SECONDS", 3_600)


async def commands(api: Installation, key: str | None = None) -> list[httpx.Response]:
    """Each kind of command, of a customer and a device that were not there before."""
    new = LINK | {"customerId": "customer-2", "deviceId": "device-2"}
    login = {"customerId": "customer-2", "deviceId": "device-2"}
    headers = api.bank() | ({"Idempotency-Key": key} if key else {})
    client, user = api.client, api.token("user", bank_id="bank-1", user_id="customer-1")
    user_id = api.services.tokens.user_id("bank-1", "customer-1")
    lead = api.token("lead", bank_id="bank-1")
    erase = {"bankId": "bank-1", "customerId": "customer-1", "reason": "asked"}
    return list(
        await asyncio.gather(
            api.command("link", new, headers),
            api.command("login-seen", login, headers),
            api.command("unlink", LINK, headers),
            api.command("deactivate", login, headers),
            client.delete("/settings/devices/device-1", headers=user),
            client.delete(f"{BANNO}/users/{user_id}/devices", headers=user),
            client.post("/v1/security/customers/erase", json=erase, headers=lead),
        )
    )


@SMALL
async def test_above_the_bound_every_command_is_503_and_says_why(api: Installation) -> None:
    ensure_log_key(api.settings)
    assert (await api.command("link", LINK)).status_code == 200
    await api.services.backlog.look()
    before = api.services.ledger.heads()
    answers = await commands(api)
    told = [(one.status_code, one.headers.get("Retry-After")) for one in answers]
    assert told == [(503, str(RETRY_SECONDS))] * len(answers)
    peere = {"statusCode": 503, "success": False, "message": WORDS}
    assert [one.json() for one in answers[:4]] == [peere] * 4
    assert [one.json() for one in answers[4:6]] == [{"message": WORDS}, WORDS]
    assert (answers[6].json()["code"], answers[6].json()["detail"]) == ("kafka-behind", WORDS)
    assert api.services.ledger.heads() == before
    # No key was made for the customer who was not let in.
    user_id = api.services.tokens.user_id("bank-1", "customer-2")
    assert await api.services.vault.newest_generation("bank-1", user_id) == 0


@SMALL
async def test_what_was_answered_before_is_answered_again(api: Installation) -> None:
    headers = api.bank() | {"Idempotency-Key": "key-1"}
    first = await api.command("link", LINK, headers)
    await api.services.backlog.look()
    again = await api.command("link", LINK, headers)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["Ledger-Position"] == first.headers["Ledger-Position"]
    other = await api.command("link", LINK | {"phrase": "Grey wolf"}, headers)
    assert other.status_code == 422
    assert (await api.command("unlink", LINK, headers)).status_code == 503


@SMALL
async def test_readiness_and_metrics_say_what_kafka_lacks(api: Installation) -> None:
    async def ready() -> dict[str, Any]:
        found: dict[str, Any] = (await api.client.get("/readyz")).json()
        return found

    assert "relay" not in (await ready())["reasons"]
    assert (await api.command("link", LINK)).status_code == 200
    await api.services.backlog.look()
    behind = max(api.services.ledger.heads().values())
    told = (await ready())["reasons"]
    words = f"{behind} events are not on Kafka, 1 may be: commands are refused"
    assert (told["relay"], told["kafka"]) == (words, "no broker takes connections")
    text = (await api.client.get("/metrics")).text
    assert f"device_ledger_relay_behind_events {float(behind)}" in text


async def test_every_read_says_how_old_it_is(
    api: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(api.services.backlog, "_clock", lambda: now)
    assert (await api.command("link", LINK)).status_code == 200
    await api.project()
    await api.services.backlog.look()
    user_id = api.services.tokens.user_id("bank-1", "customer-1")

    async def ages() -> list[str]:
        client, device = api.client, {"deviceId": "device-1"}
        answers = await asyncio.gather(
            client.get("/v1/bank/devices/list", headers=api.bank()),
            client.post("/v1/customer/device/lookup", json=device, headers=api.merchant()),
            client.post(
                "/v1/customer/device/lookup/batch",
                json={"deviceIds": ["device-1"]},
                headers=api.merchant(),
            ),
            client.get("/settings/devices", headers=api.user()),
            client.get(f"{BANNO}/users/{user_id}/devices", headers=api.user()),
            client.post("/v1/security/audit/search", json={}, headers=api.token("security")),
        )
        assert [one.status_code for one in answers] == [200] * 6
        return [one.headers["Ledger-Age"] for one in answers]

    now += 3
    assert await ages() == ["3"] * 6
    # Another link comes, and no read model hears of it.
    assert (await api.command("link", LINK | {"deviceId": "device-2"})).status_code == 200
    await api.services.backlog.look()
    now += 60
    assert await ages() == ["63"] * 6
