"""Erase a customer: what a security lead asks, is answered, and what is left of the customer."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from api import commands
from api.security import customers
from api.spool import FOLDER, values_of
from device_ledger import erasure
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.ledger.erasures import erasure_of
from device_ledger.proofs.receipt import open_receipt
from device_ledger.settings import Settings
from device_ledger.trees.names import ensure_log_key, signer_of
from device_ledger.vault.sealing import CannotOpenError, Unsealer
from device_ledger.wire.access import CUSTOMER_ERASED, decode, split
from device_ledger.wire.events import EVENT_TYPES
from tests.conftest import AnyStore
from tests.contract.http.conftest import ON_BOTH
from tests.support.crashing import Crash, crash_at
from tests.support.installation import Installation, serving

ERASE = "/v1/security/customers/erase"
LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}
LOGIN = {"customerId": "customer-1", "deviceId": "device-2", "ipAddress": "192.0.2.17"}
WHOM = {"bankId": "bank-1", "customerId": "customer-1", "reason": "case 17"}


@pytest.fixture(autouse=True)
def log_key(tmp_path: Path) -> None:
    """The home has the key that receipts are signed with."""
    ensure_log_key(Settings(home=tmp_path))


def lead(api: Installation, bank_id: str | None = None) -> dict[str, str]:
    return api.token("lead", bank_id=bank_id) if bank_id else api.token("lead")


async def erase(
    api: Installation, headers: Mapping[str, str] | None = None, **body: Any
) -> httpx.Response:
    return await api.client.post(ERASE, json=WHOM | body, headers=headers or lead(api))


async def use(api: Installation) -> None:
    """The customer has a linked device, one that was seen, and one that was deactivated."""
    assert (await api.command("link", LINK)).status_code == 200
    assert (await api.command("login-seen", LOGIN)).status_code == 200
    gone = {"customerId": "customer-1", "deviceId": "device-3"}
    assert (await api.command("login-seen", gone)).status_code == 200
    assert (await api.command("deactivate", gone)).status_code == 200


async def lookup(api: Installation, device_id: str = "device-1") -> int:
    await api.project()
    body = {"deviceId": device_id}
    url = "/v1/customer/device/lookup"
    return (await api.client.post(url, json=body, headers=api.merchant())).status_code


def opened_receipt(api: Installation, answer: httpx.Response) -> dict[str, Any]:
    signer = signer_of(api.settings, api.services.ledger.identity.ledger_id, "events")
    assert signer is not None
    return open_receipt(answer.json()["note"], [signer.verifier])


def told(api: Installation) -> list[dict[str, Any]]:
    """What the access records of erasures say."""
    found = []
    for segment in sorted((api.settings.home / FOLDER).rglob("*")):
        if segment.is_file() and segment.name != "lock":
            lines = [decode(line) for value in values_of(segment) for line in split(value)]
            found += [one.data for one in lines if one.type == CUSTOMER_ERASED]
    return found


@ON_BOTH
async def test_the_answer_is_a_receipt_that_the_logs_key_signed(api: Installation) -> None:
    await use(api)
    answer = await erase(api, requestedBy="customer")
    assert (answer.status_code, answer.headers["Ledger-Position"] != "") == (200, True)
    receipt = answer.json()["receipt"]
    user_id = api.services.tokens.user_id("bank-1", "customer-1")
    ref = CustomerRef("bank-1", user_id, "customer-1")
    stored = erasure_of(api.services.ledger.events, ref, 1)
    assert receipt == {
        "ledger": api.services.ledger.identity.ledger_id,
        "bankId": "bank-1",
        "customerId": "customer-1",
        "userId": user_id,
        "actor": {"subject": stored.context.subject}
        | ({"client": stored.context.client} if stored.context.client else {}),
        "requestId": answer.headers["X-Request-ID"],
        "erasedAt": stored.recorded_at,
        "requestedBy": "customer",
        "devices": 3,
        "keyGeneration": 1,
        "position": str(api.services.ledger.events.store.max_notification_id()),
    }
    assert opened_receipt(api, answer) == receipt


@ON_BOTH
async def test_nothing_is_shown_of_the_customer_afterwards(api: Installation) -> None:
    await use(api)
    assert await lookup(api) == 200
    assert (await erase(api)).status_code == 200
    assert await lookup(api) == 404
    devices = await api.client.get("/settings/devices", headers=api.user())
    links = await api.client.get("/v1/bank/devices/list", headers=api.bank())
    assert (devices.json(), links.json()["data"]["devices"]) == ([], [])


async def test_asking_again_answers_the_same_receipt_byte_for_byte(api: Installation) -> None:
    await use(api)
    first = await erase(api, reason="case 17")
    again = await erase(api, reason="asked twice")
    by_user = await erase(api, customerId=None, userId=first.json()["receipt"]["userId"])
    assert [one.content for one in (again, by_user)] == [first.content] * 2


async def test_an_idempotency_key_answers_its_first_receipt_also_after_another_erasure(
    api: Installation,
) -> None:
    await use(api)
    keyed = lead(api) | {"Idempotency-Key": "erase-1"}
    first = await erase(api, keyed)
    await use(api)
    second = await erase(api)
    assert second.json()["receipt"]["keyGeneration"] == 2
    assert (await erase(api, keyed)).content == first.content
    other = await erase(api, keyed, reason="another body")
    assert (other.status_code, other.json()["code"]) == (422, "key-reused")


async def test_a_customer_whom_nobody_knows_is_404(api: Installation) -> None:
    answer = await erase(api)
    assert (answer.status_code, answer.json()["code"]) == (404, "no-such-customer")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert told(api) == []


async def test_a_customer_whose_commands_were_all_refused_loses_the_key_too(
    api: Installation,
) -> None:
    await api.command("link", LINK)
    taken = await api.command("link", LINK | {"customerId": "customer-2"})
    assert taken.status_code == 409
    answer = await erase(api, customerId="customer-2")
    assert answer.json()["receipt"]["devices"] == 0
    assert await lookup(api) == 200


@ON_BOTH
async def test_a_customer_who_comes_back_is_found_again_under_the_next_key(
    api: Installation,
) -> None:
    await use(api)
    await erase(api)
    back = LINK | {"phrase": "Red fox"}
    assert (await api.command("link", back)).status_code == 200
    assert (await api.command("login-seen", LOGIN)).status_code == 200
    assert await lookup(api) == 200
    devices = (await api.client.get("/settings/devices", headers=api.user())).json()
    assert {one["deviceId"] for one in devices} == {"device-1", "device-2"}


async def test_another_customer_may_take_the_device_and_the_phrase(api: Installation) -> None:
    await use(api)
    await erase(api)
    assert (await api.command("link", LINK | {"customerId": "customer-2"})).status_code == 200


async def test_an_erasure_is_told_in_the_trail_with_its_reason(api: Installation) -> None:
    await use(api)
    answer = await erase(api, lead(api, "bank-1"), bankId=None)
    receipt = answer.json()["receipt"]
    [record] = told(api)
    record.pop("addressToken", None)
    assert record == {
        "outcome": "done",
        "requestId": receipt["requestId"],
        "caller": "lead",
        "actor": receipt["actor"],
        "route": ERASE,
        "bankId": "bank-1",
        "customerId": "customer-1",
        "userId": receipt["userId"],
        "count": 3,
        "reason": "case 17",
    }


@pytest.mark.parametrize("field", ["bankId", "reason"])
async def test_what_is_missing_is_named(api: Installation, field: str) -> None:
    body = {name: value for name, value in WHOM.items() if name != field}
    answer = await api.client.post(ERASE, json=body, headers=lead(api))
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize(
    "body",
    [
        {"customerId": None},
        {"userId": "7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"},
        {"reason": "two\nlines"},
        {"reason": ""},
        {"requestedBy": "x" * 129},
        {"deviceId": "device-1"},
    ],
)
async def test_a_body_that_breaks_a_rule_erases_nothing(
    api: Installation, body: dict[str, Any]
) -> None:
    await use(api)
    assert (await erase(api, **body)).status_code == 400
    assert await lookup(api) == 200


async def test_only_a_lead_erases_and_a_banks_lead_at_that_bank_only(api: Installation) -> None:
    await use(api)
    for headers in (api.bank(), api.token("security"), api.merchant(), api.user()):
        assert (await erase(api, headers)).status_code == 403
    assert (await erase(api, {"Authorization": "Bearer x"})).status_code == 401
    assert (await erase(api, lead(api, "bank-2"))).status_code == 403
    assert (await erase(api, lead(api, "bank-2"), bankId=None)).status_code == 404
    assert await lookup(api) == 200
    assert (await erase(api, lead(api, "bank-1"))).status_code == 200


async def test_nothing_is_erased_where_no_receipt_could_be_signed(api: Installation) -> None:
    await use(api)
    (api.settings.home / "keys" / "log.key").unlink()
    answer = await erase(api)
    assert (answer.status_code, answer.json()["code"]) == (503, "no-log-key")
    assert await lookup(api) == 200


@pytest.mark.parametrize("name", ["link", "login-seen"])
async def test_a_command_that_was_sealed_before_the_erasure_is_sealed_anew(
    api: Installation, name: str
) -> None:
    """The key is still in this process's memory when the ledger has given it up."""
    await use(api)
    vault = api.services.vault
    customer = ("bank-1", api.services.tokens.user_id("bank-1", "customer-1"))
    kept = await vault.data_key(*customer)
    await erase(api)
    vault._cache.put(customer, kept, vault._cache.clock())
    body = LINK if name == "link" else LOGIN | {"deviceId": "device-1"}
    assert (await api.command(name, body)).status_code == 200
    assert (await vault.data_key(*customer)).generation == 2
    await api.project()
    shown = (await api.client.get("/settings/devices", headers=api.user())).json()
    assert [one["deviceId"] for one in shown] == ["device-1"]


@pytest.fixture
def installed(any_store: AnyStore, vault_url: str, tmp_path: Path) -> Settings:
    """Settings of an installation that can be started again: all stores on SQLite, or none."""
    urls: dict[str, Any] = {"event_store_url": any_store.url, "vault_url": vault_url}
    return Settings(home=tmp_path, embedded_issuer=True, **urls)


async def test_a_crash_at_any_line_leaves_an_erasure_that_is_over_or_never_was(
    installed: Settings,
) -> None:
    """Each line has a customer of its own whose erasure ends before it; then comes a start."""
    names: list[str] = []
    crashed = True
    async with serving(installed) as api:
        while crashed:
            names.append(f"customer-{len(names) + 1}")
            await use_as(api, names[-1])
            with crash_at(len(names), customers, erasure, commands) as lines, suppress(Crash):
                await erase(api, customerId=names[-1])
            crashed = lines.crashed_at is not None
    assert len(names) > 25
    async with serving(installed) as api:
        ordered = [await is_over_or_never_was(api, name) for name in names]
        assert set(ordered) == {False, True}
        for name in names:
            answer = await erase(api, customerId=name)
            assert answer.json()["receipt"]["devices"] == 1
            assert opened_receipt(api, answer) == answer.json()["receipt"]
            await nothing_opens(api, name)


async def use_as(api: Installation, name: str) -> None:
    body = {"customerId": name, "phrase": f"phrase of {name}", "deviceId": f"device-of-{name}"}
    assert (await api.command("link", body)).status_code == 200


async def is_over_or_never_was(api: Installation, name: str) -> bool:
    """Whether the erasure was ordered: then the key is gone, without anybody asking again."""
    user_id = api.services.tokens.user_id("bank-1", name)
    store = api.services.ledger.events.store
    was_ordered = bool(store.erasures_of(CustomerRef("bank-1", user_id).aggregate_id))
    existing = await api.services.vault.existing_keys([("bank-1", user_id)])
    assert bool(existing) == (not was_ordered)
    return was_ordered


async def nothing_opens(api: Installation, name: str) -> None:
    """Try every key that the vault has on every sealed value of the customer."""
    user_id = api.services.tokens.user_id("bank-1", name)
    rows = api.services.vault._store.page(("", ""), 10_000)
    found = await api.services.vault.existing_keys([row.customer for row in rows])
    sealed = sealed_values(api, user_id)
    assert len(sealed) >= 3
    for field, value in sealed:
        for key in found.values():
            with pytest.raises(CannotOpenError):
                Unsealer(key.key, "bank-1", user_id).open(field, value)


def sealed_values(api: Installation, user_id: str) -> list[tuple[str, str]]:
    """Field and sealed value of all that the ledger published of a customer."""
    fields = {
        "sealedDeviceId": "deviceId",
        "sealedPhrase": "phrase",
        "sealedName": "deviceName",
        "sealedAddress": "ipAddress",
    }
    stored = api.services.ledger.events.store.select_notifications(1, 100_000, topics=EVENT_TYPES)
    datas = [orjson.loads(one.state)["data"] for one in stored]
    return [
        (fields[name], value)
        for data in datas
        if data["userId"] == user_id
        for name, value in data.items()
        if name in fields
    ]
