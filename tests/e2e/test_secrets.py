"""Device IDs, phrases, device names and addresses lie nowhere in the clear."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from device_ledger.vault.keys import load_keys
from device_ledger.wire.trail import EVENTS_LOG
from projections.archive.layout import archive_of
from projections.archive.reader import read_raw
from tests.conftest import AnyStore
from tests.support.system import System
from tests.support.traces import (
    Content,
    byte_traces,
    files_below,
    parquet_tables_below,
    postgres_tables,
    sqlite_tables_below,
    topics,
    traces,
)

CUSTOMER = "pseudonym-of-Zoe-4711"
"""May stand in the clear: finding it shows that the search looks where values would lie."""

DEVICE = "Planted~Device:One+a/B=9"
REFUSED_DEVICE = "Planted~Device:Two.Refused"
UNKNOWN_DEVICE = "Planted~Device:Three_Unknown"
REMOVED_DEVICE = "Planted/Device+Four~Removed"
BAD_DEVICE = "Planted Device! Fünf"
PHRASE = "Zwölf  Boxkämpfer jagen Viktor Ⅷ"
OTHER_PHRASE = "Quietly Planted Other Phrase"
NAME = "Zoés ältestes Händy 🦓"
IPV4 = "203.0.113.237"
IPV6 = "2001:db8:dead:beef:1234:5678:9abc:def0"
IPV6_NETWORK = "2001:db8:dead:beef:"

PLANTED = [
    *(DEVICE, REFUSED_DEVICE, UNKNOWN_DEVICE, REMOVED_DEVICE, BAD_DEVICE),
    *(PHRASE, OTHER_PHRASE, NAME, IPV4, IPV6, IPV6_NETWORK),
]

COMMANDS = "/v1/bank/customer/device"
LOOKUP = "/v1/customer/device/lookup"
LIST = "/v1/bank/devices/list"
REGISTRATIONS = "/a/consumer/api/v0/users"


@pytest.fixture
def system(any_store: AnyStore, vault_url: str) -> Iterator[System]:
    """The system with a broker of its own, telling all that it can tell in its logs."""
    with System(
        any_store.home,
        event_store_url=any_store.url,
        read_models_url=any_store.url,
        vault_url=vault_url,
        env={"DEVICE_LEDGER_LOG_LEVEL": "DEBUG"},
    ) as made:
        yield made


async def test_nothing_that_is_secret_lies_anywhere_in_the_clear(
    system: System, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await asyncio.to_thread(system.start_all)
    async with system.client() as client:
        await use(system, client)
        await abuse(system, client)
    folder = tmp_path_factory.mktemp("imported")
    told = import_file(system, folder)
    assert system.run("rebuild").returncode == 0
    system.start("detector")
    async with system.client() as client:
        told += [answer async for answer in answers(system, client)]
    await until_archived(system)
    told += commands(system, folder)
    system.stop("streams", "relay", "detector")
    published = [content async for content in topics(system.servers)]
    system.stop("broker")
    async with system.client() as client:
        await look(system, client)
        await abuse(system, client)
    system.stop("api")
    files = list(files_below(system.home))
    tables = list(tables_of(system))
    assert found([CUSTOMER], published) == {"device-ledger.access.v1", "device-ledger.events.v1"}
    assert any(place.startswith("access-spool/") for place in found([CUSTOMER], files))
    assert len(found([CUSTOMER], tables)) >= 3
    assert {"logs/api.log", "logs/relay.log", "logs/streams.log", "logs/broker.log"} <= {
        place for place, _ in files
    }
    assert "logs/api.log" in found([COMMANDS], files)
    assert any(place.startswith("kafka/") for place in found([CUSTOMER], files))
    assert any(place.startswith("archive/") for place in found([CUSTOMER], tables))
    everything = [*published, *files, *tables, *told]
    assert traces(PLANTED, everything) == []
    of_keys = byte_traces(keys_of(system), everything)
    assert [one for one in of_keys if not one.place.startswith("keys/")] == []
    assert {one.value for one in of_keys} == {
        path.name for path in (system.home / "keys").iterdir()
    }


def tables_of(system: System) -> Iterator[Content]:
    """Everything in the databases and the archive."""
    yield from sqlite_tables_below(system.home)
    yield from parquet_tables_below(system.home)
    settings = system.settings
    for url in (settings.event_store_url, settings.vault_url):
        if url != SecretStr(""):
            yield from postgres_tables(url.get_secret_value())


def keys_of(system: System) -> dict[str, bytes]:
    """The keys of the installation, by their files' names, and a token of each kind of caller."""
    files = {path.name: path.read_bytes().strip() for path in (system.home / "keys").iterdir()}
    raw = {
        name: base64.b64decode(text)
        for name, text in files.items()
        if not text.startswith(b"-----")
    }
    issuer = load_pem_private_key(files["issuer.key"], None)
    assert isinstance(issuer, Ed25519PrivateKey)
    raw["issuer.key"] = issuer.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    assert {len(key) for key in raw.values()} == {32}
    assert len(raw) >= 4
    callers = (system.bank(), system.merchant(), system.user(CUSTOMER), system.token("lead"))
    headers = {str(at): one["Authorization"].encode() for at, one in enumerate(callers)}
    # What follows the claims that all tokens share.
    return raw | {f"token {at}": text.rpartition(b".")[2] for at, text in headers.items()}


async def answers(system: System, client: httpx.AsyncClient) -> AsyncIterator[Content]:
    """What is told to those who may not see values: operations, and security without a reason."""
    security = system.token("security")
    for path in ("/metrics", "/readyz", "/openapi.json", "/v1/security/alerts", "/nothing"):
        yield path, (await client.get(path, headers=security)).content
    searched = await client.post("/v1/security/audit/search", json={"limit": 100}, headers=security)
    assert len(searched.json()["entries"]) > 10
    yield "search", searched.content


async def until_archived(system: System) -> None:
    """Wait until the archive holds every event; it tells nobody when it does."""
    count = len(system.stored())
    async with asyncio.timeout(60):
        while len(list(read_raw(archive_of(system.home), EVENTS_LOG))) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def commands(system: System, folder: Path) -> list[Content]:
    """What the commands tell that anybody on the machine may run."""
    export = folder / "trail.ndjson"
    told = []
    for words in (("status", "--json"), ("export", "--from", "24h", "-o", str(export))):
        done = system.run(*words)
        assert done.returncode == 0, done.stderr
        told.append((words[0], done.stdout + done.stderr))
    return [*told, ("export's file", export.read_bytes())]


def found(values: Sequence[str], contents: list[Content]) -> set[str]:
    """The places where values are found."""
    return {one.place for one in traces(values, contents)}


async def use(system: System, client: httpx.AsyncClient) -> None:
    """All that callers do with values; the answers show that the system knows them."""
    at = await post_commands(system, client)
    bank, merchant, user = (
        caller | {"Ledger-Min-Position": at}
        for caller in (system.bank(), system.merchant(), system.user(CUSTOMER))
    )
    looked_up = await client.post(LOOKUP, json={"deviceId": DEVICE}, headers=merchant)
    assert looked_up.json()["data"]["phrase"] == PHRASE
    unknown = await client.post(LOOKUP, json={"deviceId": UNKNOWN_DEVICE}, headers=merchant)
    assert unknown.status_code == 404
    both = {"deviceIds": [DEVICE, UNKNOWN_DEVICE]}
    batch = (await client.post(f"{LOOKUP}/batch", json=both, headers=merchant)).json()
    assert batch["data"]["notFound"] == [UNKNOWN_DEVICE]
    for search in (DEVICE, PHRASE):
        asked = {"search": search, "sortBy": "deviceId"}
        page = await client.get(LIST, params=asked, headers=bank)
        assert DEVICE in {one["deviceId"] for one in page.json()["data"]["devices"]}
    shown = (await client.get("/settings/devices", headers=user)).json()
    assert {(one["deviceId"], one["deviceName"], one["ipAddress"]) for one in shown} == {
        (DEVICE, NAME, IPV4),
        (REMOVED_DEVICE, NAME, IPV6),
    }
    for device_id, status in ((REMOVED_DEVICE, 200), (REMOVED_DEVICE, 200), (UNKNOWN_DEVICE, 404)):
        path = f"/settings/devices/{quote(device_id, safe='')}"
        assert (await client.delete(path, headers=user)).status_code == status
    user_id = load_keys(system.settings).token.user_id("bank-1", CUSTOMER)
    kept = await client.get(f"{REGISTRATIONS}/{user_id}/devices?onlyActive=false", headers=user)
    assert {one["deviceId"] for one in kept.json()["registrations"]} == {DEVICE, REMOVED_DEVICE}


async def look(system: System, client: httpx.AsyncClient) -> None:
    """Reads whose access records are spooled."""
    for device, status in ((DEVICE, 200), (UNKNOWN_DEVICE, 404)):
        answer = await client.post(LOOKUP, json={"deviceId": device}, headers=system.merchant())
        assert answer.status_code == status
    listed = await client.get(LIST, params={"search": PHRASE}, headers=system.bank())
    assert listed.status_code == 200


async def post_commands(system: System, client: httpx.AsyncClient) -> str:
    """Commands that are done and commands that are refused; the position after them."""
    zoe, other = {"customerId": CUSTOMER}, {"customerId": "another-customer"}
    seen = zoe | {"deviceName": NAME}
    mine, others = zoe | {"phrase": PHRASE}, other | {"phrase": OTHER_PHRASE}
    position = ""
    for name, body, status in (
        ("link", mine | {"deviceId": DEVICE}, 200),
        ("link", mine | {"deviceId": REMOVED_DEVICE}, 200),
        ("login-seen", seen | {"deviceId": DEVICE, "ipAddress": IPV4}, 200),
        ("login-seen", seen | {"deviceId": REMOVED_DEVICE, "ipAddress": IPV6}, 200),
        ("link", others | {"deviceId": DEVICE}, 409),
        ("link", other | {"phrase": PHRASE, "deviceId": REFUSED_DEVICE}, 409),
        ("link", zoe | {"phrase": OTHER_PHRASE, "deviceId": REFUSED_DEVICE}, 409),
        ("unlink", others | {"deviceId": REFUSED_DEVICE}, 404),
        ("deactivate", zoe | {"deviceId": REFUSED_DEVICE}, 404),
    ):
        key = f"{name} {body['customerId']} {body['deviceId']}"
        headers = system.bank() | {"Idempotency-Key": key}
        answer = await client.post(f"{COMMANDS}/{name}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        position = answer.headers["Ledger-Position"]
    return position


async def abuse(system: System, client: httpx.AsyncClient) -> None:
    """Requests that are refused before any command."""
    for status, method, path, more in abuses(system.user(CUSTOMER)):
        answer = await client.request(method, path, **{"headers": system.bank(), **more})
        assert answer.status_code == status, (method, path, more, answer.text)
        assert traces(PLANTED, [("answer", answer.content)]) == []


def abuses(user: dict[str, str]) -> list[tuple[int, str, str, dict[str, Any]]]:
    """Status, method, path and the rest of bad requests, with values wherever one can put them."""
    body = {"customerId": CUSTOMER, "phrase": PHRASE, "deviceId": DEVICE}
    link, seen = f"{COMMANDS}/link", f"{COMMANDS}/login-seen"
    device, bad_device = quote(DEVICE, safe=""), quote(BAD_DEVICE, safe="")
    not_json = f'{{"deviceId": "{DEVICE}", "phrase": {PHRASE}}}'
    return [
        (400, "POST", link, {"json": body | {"deviceId": BAD_DEVICE}}),
        (400, "POST", link, {"json": body | {"deviceId": [DEVICE]}}),
        (400, "POST", link, {"json": body | {PHRASE: NAME}}),
        (400, "POST", link, {"json": body | {"phrase": PHRASE * 30}}),
        (400, "POST", link, {"content": not_json.encode()}),
        (400, "POST", seen, {"json": {"ipAddress": f"{IPV6}%{DEVICE}"}}),
        (400, "POST", seen, {"json": {"deviceName": f"{NAME}\n", "userAgent": [IPV4]}}),
        (400, "GET", LIST, {"params": {"search": DEVICE, "cursor": DEVICE}}),
        (400, "GET", LIST, {"params": {"sortBy": DEVICE, DEVICE: PHRASE}}),
        (400, "GET", LIST, {"headers": user | {"Ledger-Min-Position": DEVICE}}),
        (403, "POST", LOOKUP, {"json": {"deviceId": DEVICE}}),
        (401, "POST", link, {"json": body, "headers": {"Authorization": f"Bearer {DEVICE}"}}),
        (404, "GET", f"/{device}/{quote(NAME)}", {}),
        (405, "PUT", f"/settings/devices/{device}", {"content": PHRASE.encode()}),
        (400, "DELETE", f"/settings/devices/{bad_device}", {"headers": user}),
        (400, "GET", f"{REGISTRATIONS}/{REFUSED_DEVICE}/devices", {"headers": user}),
        (413, "POST", link, {"json": body | {"phrase": PHRASE * 3_000}}),
    ]


def import_file(system: System, folder: Path) -> list[Content]:
    """Import a file with values, refused ones too; what the command tells of it."""
    lines = [
        {"customerId": CUSTOMER, "deviceId": "imported", "phrase": PHRASE},
        {"customerId": "another-customer", "deviceId": DEVICE, "phrase": OTHER_PHRASE},
        {"customerId": CUSTOMER, "deviceId": BAD_DEVICE, "phrase": PHRASE},
    ]
    file, report = folder / "links.ndjson", folder / "report.csv"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    words = ("--bank-id", "bank-1", "--url", system.url(), "--report", str(report))
    done = system.run("import", str(file), *words)
    assert b"1 lines imported, 2 refused" in done.stdout, done.stderr
    return [("import", done.stdout + done.stderr), ("report", report.read_bytes())]
