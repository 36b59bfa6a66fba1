"""Every lookup, every list and every refused request leaves its access record, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
import orjson
import pytest
from jsonschema import Draft202012Validator

from device_ledger.issuer import EmbeddedIssuer
from device_ledger.settings import DEV_ISSUER, Settings
from device_ledger.wire.access import AccessRecord, encode
from device_ledger.wire.topics import ACCESS
from tests.support import asyncapi
from tests.support.access_log import on_kafka, spooled, until_sent
from tests.support.events_topic import make_topics
from tests.support.installation import BANNO, Installation, serving

LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}
COMMANDS = "/v1/bank/customer/device"
PREFIX = "device_ledger_access"
LOOKUP = "/v1/customer/device/lookup"
BATCH = f"{LOOKUP}/batch"
LIST = "/v1/bank/devices/list"
SETTINGS = "/settings/devices"
USERS = f"{BANNO}/users/{{userId}}/devices"
Fields = dict[str, Any]
MERCHANT: Fields = {
    "caller": "merchant",
    "actor": {"subject": "dev-merchant"},
    "merchantId": "shop-1",
}
BANK: Fields = {"caller": "bank", "actor": {"subject": "dev-bank"}, "bankId": "bank-1"}
NOBODY: Fields = {}
Told = tuple[str, str | None, Fields]


@pytest.fixture
async def api(tmp_path: Path, chosen: dict[str, Any], kafka: str) -> AsyncIterator[Installation]:
    """The API with a linked device and a Kafka that takes its records."""
    await make_topics(kafka, 1, ACCESS)
    settings = Settings(
        home=tmp_path, embedded_issuer=True, KAFKA_BOOTSTRAP_SERVERS=kafka, **chosen
    )
    async with serving(settings) as installation:
        assert (await installation.command("link", LINK)).status_code == 200
        await installation.project()
        yield installation


class Calls:
    """Calls with request IDs that count up, and what records should tell of them."""

    def __init__(self, api: Installation) -> None:
        self._api = api
        self._tokens = api.services.tokens
        self.user_id = self._tokens.user_id("bank-1", "customer-1")
        self.due: list[Told] = []
        self._count = 0

    async def call(
        self, status: int, method: str, path: str, headers: dict[str, str], **more: Any
    ) -> str:
        """Make a call that is answered so; its request ID."""
        self._count += 1
        request_id = f"call-{self._count}"
        marked = headers | {"X-Request-ID": request_id}
        answer = await self._api.client.request(method, path, headers=marked, **more)
        assert answer.status_code == status, answer.text
        return request_id

    def expect(
        self, request_id: str, kind: str, route: str, told: Fields, device: str | None = None
    ) -> None:
        """A record is due."""
        address = self._tokens.address("127.0.0.1")
        shared = {"requestId": request_id, "addressToken": address, "route": route}
        subject = device and self._tokens.device(device)
        self.due.append((kind, subject, shared | told))


async def recorded(api: Installation) -> list[AccessRecord]:
    """The records of this installation on Kafka, once all are there."""
    await until_sent(api.services.recorder)
    return await on_kafka(api.settings.brokers, api.services.ledger.identity.source)


async def check(api: Installation, calls: Calls) -> None:
    found = sorted(await recorded(api), key=lambda one: one.id)
    assert [(one.type, one.subject, one.data) for one in found] == calls.due
    for one in found:
        SCHEMA.validate(orjson.loads(encode(one)))
    ids = [UUID(one.id) for one in found]
    assert {one.version for one in ids} <= {7}
    assert len(set(ids)) == len(ids)


async def test_lookups_tell_the_device_and_whose_it_is(api: Installation) -> None:
    calls = Calls(api)
    holder = {"bankId": "bank-1", "customerId": "customer-1", "userId": calls.user_id}
    kind = "device.looked_up.v1"
    for device, status, told in (
        ("device-1", 200, {"outcome": "found", **holder}),
        ("device-2", 404, {"outcome": "not-found"}),
    ):
        body = {"deviceId": device}
        made = await calls.call(status, "POST", LOOKUP, api.merchant(), json=body)
        calls.expect(made, kind, LOOKUP, MERCHANT | told, device)
    many = {"deviceIds": ["device-3", "device-1", "device-3"]}
    made = await calls.call(200, "POST", BATCH, api.merchant(), json=many)
    calls.expect(made, kind, BATCH, MERCHANT | {"outcome": "not-found"}, "device-3")
    calls.expect(made, kind, BATCH, MERCHANT | holder | {"outcome": "found"}, "device-1")
    await check(api, calls)


async def test_a_device_whose_customers_key_is_gone_is_on_record_as_not_found(
    api: Installation,
) -> None:
    calls = Calls(api)
    await api.services.vault.erase("bank-1", calls.user_id, 1)
    body = {"deviceId": "device-1"}
    made = await calls.call(404, "POST", LOOKUP, api.merchant(), json=body)
    told = MERCHANT | {"outcome": "not-found"}
    calls.expect(made, "device.looked_up.v1", LOOKUP, told, "device-1")
    await check(api, calls)


async def test_lists_tell_whose_and_how_many_and_never_the_search(api: Installation) -> None:
    calls = Calls(api)
    kind = "devices.listed.v1"
    one = {"customerId": "customer-1", "userId": calls.user_id}
    for query, told in (
        ("", {"outcome": "found", "count": 1}),
        ("?search=device-1&sortBy=phrase", {"outcome": "found", "count": 1}),
        ("?search=device-2", {"outcome": "not-found", "count": 0}),
        ("?customerId=customer-1", {"outcome": "found", "count": 1} | one),
    ):
        made = await calls.call(200, "GET", LIST + query, api.bank())
        calls.expect(made, kind, LIST, BANK | told)
    user, admin = api.user(), api.token("admin", bank_id="bank-1")
    of_user = {"bankId": "bank-1", "outcome": "found", "count": 1}
    own = {"caller": "user", "actor": {"subject": "customer-1"}} | one | of_user
    made = await calls.call(200, "GET", SETTINGS, user)
    calls.expect(made, kind, SETTINGS, own)
    path = USERS.format(userId=calls.user_id)
    made = await calls.call(200, "GET", path, user)
    calls.expect(made, kind, USERS, own)
    by_admin = {"caller": "admin", "actor": {"subject": "dev-admin"}, "userId": calls.user_id}
    made = await calls.call(200, "GET", f"{path}?onlyActive=false", admin)
    calls.expect(made, kind, USERS, by_admin | of_user)
    await check(api, calls)


async def test_refusals_tell_who_as_far_as_that_was_known(api: Installation) -> None:
    calls = Calls(api)
    link, path = f"{COMMANDS}/link", USERS.format(userId=calls.user_id)
    keyed = api.bank() | {"Idempotency-Key": "key-1"}
    await calls.call(200, "POST", link, keyed, json=LINK)
    big = b" " * 70_000

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1_000

    actor = {"actor": {"subject": "dev-bank"}, "bankId": "bank-1"}
    stranger = {"actor": {"subject": "customer-2"}, "bankId": "bank-1"}
    old = {"Ledger-Min-Position": "none"}
    for status, code, method, where, route, headers, more, who in (
        (400, "bad-input", "POST", LOOKUP, LOOKUP, api.merchant(), {"json": {}}, NOBODY),
        (400, "unknown-position", "GET", SETTINGS, SETTINGS, api.user() | old, {}, NOBODY),
        (400, "too-deep", "GET", f"{LIST}?page=9999", LIST, api.bank(), {}, BANK),
        (401, "no-token", "GET", LIST, LIST, {}, {}, NOBODY),
        (401, "bad-token", "GET", LIST, LIST, {"Authorization": "Bearer x"}, {}, NOBODY),
        (400, "no-token", "GET", path, USERS, {}, {}, NOBODY),
        (403, "forbidden", "POST", LOOKUP, LOOKUP, api.bank(), {"json": LINK_ID}, actor),
        (403, "forbidden", "GET", path, USERS, api.user("customer-2"), {}, stranger),
        (413, "http-413", "POST", link, link, api.bank(), {"content": big}, NOBODY),
        (413, "http-413", "POST", link, link, api.bank(), {"content": chunks()}, NOBODY),
        (422, "key-reused", "POST", link, link, keyed, {"json": OTHER}, BANK),
    ):
        made = await calls.call(status, method, where, headers, **more)
        told = {"outcome": "refused", "code": code, "status": status}
        calls.expect(made, "request.refused.v1", route, told | who)
    await check(api, calls)


LINK_ID = {"deviceId": "device-1"}
OTHER = LINK | {"deviceId": "device-2"}


@pytest.mark.parametrize("chosen", [{"rate_lookups": 1, "rate_unknown_lookups": 1}])
async def test_too_many_requests_are_on_record(api: Installation) -> None:
    calls = Calls(api)
    kind = "request.refused.v1"
    limited = {"outcome": "refused", "code": "rate-limited", "status": 429}
    unknown = {"deviceId": "device-2"}
    made = await calls.call(404, "POST", LOOKUP, api.merchant(), json=unknown)
    told = MERCHANT | {"outcome": "not-found"}
    calls.expect(made, "device.looked_up.v1", LOOKUP, told, "device-2")
    # The limit of unknown devices comes before the caller: then the token says who it was.
    token = {name: MERCHANT[name] for name in ("actor", "merchantId")}
    made = await calls.call(429, "POST", LOOKUP, api.merchant(), json=unknown)
    calls.expect(made, kind, LOOKUP, token | limited)
    made = await calls.call(200, "GET", LIST, api.bank())
    calls.expect(made, "devices.listed.v1", LIST, BANK | {"outcome": "found", "count": 1})
    made = await calls.call(429, "GET", LIST, api.bank())
    calls.expect(made, kind, LIST, BANK | limited)
    await check(api, calls)


@pytest.mark.parametrize("chosen", [{"step_up_max_age": 300}])
async def test_a_login_that_is_too_old_is_on_record_with_the_user(api: Installation) -> None:
    calls = Calls(api)
    issuer = EmbeddedIssuer.open(api.settings)
    text = api.user()["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(text, issuer.public_key, ["EdDSA"], audience="device-ledger")
    assert claims["iss"] == DEV_ISSUER
    old = jwt.encode(claims | {"auth_time": 1}, issuer._key, "EdDSA", {"kid": issuer.key_id})
    path = f"{SETTINGS}/device-1"
    made = await calls.call(401, "DELETE", path, {"Authorization": f"Bearer {old}"})
    who = {"actor": {"subject": "customer-1"}, "bankId": "bank-1"}
    told = {"outcome": "refused", "code": "step-up", "status": 401}
    calls.expect(made, "request.refused.v1", f"{SETTINGS}/{{deviceId:path}}", who | told)
    await check(api, calls)


async def test_what_shows_nothing_or_is_an_event_leaves_no_record(api: Installation) -> None:
    calls = Calls(api)
    taken = LINK | {"customerId": "customer-2", "phrase": "Grey owl"}
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    for status, method, path, headers, more in (
        (200, "POST", f"{COMMANDS}/link", api.bank(), {"json": LINK}),
        (409, "POST", f"{COMMANDS}/link", api.bank(), {"json": taken}),
        (404, "POST", f"{COMMANDS}/deactivate", api.bank(), {"json": GONE}),
        (404, "DELETE", f"{SETTINGS}/device-2", api.user(), {}),
        (400, "OPTIONS", SETTINGS, preflight, {}),
        (405, "PUT", SETTINGS, api.user(), {}),
        (404, "GET", "/v1/nothing", {}, {}),
        (404, "GET", f"{BANNO}/users", {}, {}),
        (200, "GET", "/healthz", {}, {}),
        (200, "GET", "/metrics", {}, {}),
        (200, "GET", "/openapi.json", {}, {}),
        (200, "GET", "/docs", {}, {}),
    ):
        await calls.call(status, method, path, headers, **more)
    await check(api, calls)
    assert spooled(api.settings.home) == []


SCHEMA = Draft202012Validator(asyncapi.document()["components"]["schemas"]["AccessRecord"])
GONE = {"customerId": "customer-1", "deviceId": "device-2"}


async def test_many_records_of_a_request_are_kept_at_once(api: Installation) -> None:
    body = {"deviceIds": [f"device-{number}" for number in range(100)]}
    answers = await asyncio.gather(
        *(api.client.post(BATCH, json=body, headers=api.merchant()) for _ in range(5))
    )
    assert [one.status_code for one in answers] == [200] * 5
    found = await recorded(api)
    assert len(found) == len({one.id for one in found}) == 500
    lines = (await api.client.get("/metrics")).text.splitlines()
    counts = [line.split() for line in lines if line.startswith(PREFIX)]
    of_all = {
        kind: sum(float(count) for name, count in counts if name.startswith(f"{PREFIX}_{kind}"))
        for kind in ("records_total", "flushes_total", "spool_bytes")
    }
    assert of_all["flushes_total"] <= 5
    assert of_all | {"flushes_total": 0} == {
        "records_total": 500,
        "flushes_total": 0,
        "spool_bytes": 0,
    }
