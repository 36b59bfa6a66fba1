"""A customer is erased in the whole system: what is left can be opened nowhere, by nobody."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from device_ledger.proofs import VerifierKey
from device_ledger.proofs.receipt import open_receipt
from device_ledger.vault.encoding import from_text, strings
from device_ledger.vault.keys import load_keys
from device_ledger.vault.stores import open_store
from device_ledger.vault.tables import Row
from device_ledger.wire.topics import EVENTS
from tests.conftest import AnyStore
from tests.support.events_topic import records_of
from tests.support.system import System
from tests.support.traces import files_below, postgres_tables, sqlite_tables_below, traces

COMMANDS = "/v1/bank/customer/device"
LOOKUP = "/v1/customer/device/lookup"
ERASE = "/v1/security/customers/erase"
CUSTOMER, OTHER = "pseudonym-to-erase-4711", "pseudonym-that-stays-4712"
DEVICE, SEEN_DEVICE, OTHERS_DEVICE = "erased~device:one", "erased~device:two", "kept~device:three"
PHRASE, OTHERS_PHRASE = "Zwei Zebras zelten zuletzt", "Acht Affen albern abends"
NAME = "Zoés Händy 🦓"
ADDRESS = "203.0.113.237"
FIELDS = {
    "sealedDeviceId": "deviceId",
    "sealedPhrase": "phrase",
    "sealedName": "deviceName",
    "sealedAddress": "ipAddress",
}
_NONCE = slice(1, 13)


@pytest.fixture
def system(any_store: AnyStore, vault_url: str) -> Iterator[System]:
    """The system, with a broker of its own; on PostgreSQL the vault has a database of its own."""
    with System(
        any_store.home,
        event_store_url=any_store.url,
        read_models_url=any_store.url,
        vault_url=vault_url,
    ) as made:
        yield made


async def test_what_is_left_of_an_erased_customer_opens_nowhere(
    system: System, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await asyncio.to_thread(system.start_all)
    await asyncio.to_thread(system.start, "detector")
    async with system.client() as client:
        await use(system, client)
        [old_key] = vault_rows(system, CUSTOMER)
        receipt = await erase(system, client)
        await see_nothing(system, client)
        await until_kafka_has_all(client)
        records = await records_of(system.servers, EVENTS)
        published = [json.loads(record.value or b"") for record in records]
        await until_signed(system, client, len(published))
        await check_receipt(system, client, receipt)
    export = tmp_path_factory.mktemp("export") / "case.ndjson"
    check_export(system, export)
    system.stop("detector", "streams", "relay", "api")
    check_the_proofs(system, len(published))
    opened = open_all(system, published)
    assert opened == {(OTHERS_DEVICE, "deviceId"), (OTHERS_PHRASE, "phrase")}
    assert vault_rows(system, CUSTOMER) == [
        Row("bank-1", receipt["receipt"]["userId"], 2, None, None)
    ]
    check_the_vault(system, receipt["receipt"]["userId"], str(old_key.wrapped))
    if not system.settings.vault_url.get_secret_value():
        copies = tmp_path_factory.mktemp("copies")
        check_a_backup(system, copies, receipt["receipt"]["userId"], str(old_key.wrapped))


async def use(system: System, client: httpx.AsyncClient) -> None:
    """Two customers have devices; both are found."""
    mine, seen = {"customerId": CUSTOMER}, {"deviceName": NAME, "ipAddress": ADDRESS}
    for name, body in (
        ("link", mine | {"deviceId": DEVICE, "phrase": PHRASE}),
        ("login-seen", mine | seen | {"deviceId": DEVICE}),
        ("login-seen", mine | seen | {"deviceId": SEEN_DEVICE}),
        ("deactivate", mine | {"deviceId": SEEN_DEVICE}),
        ("link", {"customerId": OTHER, "deviceId": OTHERS_DEVICE, "phrase": OTHERS_PHRASE}),
    ):
        answer = await client.post(f"{COMMANDS}/{name}", json=body, headers=system.bank())
        assert answer.status_code == 200, answer.text
    position = {"Ledger-Min-Position": answer.headers["Ledger-Position"]}
    for device, phrase in ((DEVICE, PHRASE), (OTHERS_DEVICE, OTHERS_PHRASE)):
        headers = system.merchant() | position
        found = await client.post(LOOKUP, json={"deviceId": device}, headers=headers)
        assert found.json()["data"]["phrase"] == phrase


async def erase(system: System, client: httpx.AsyncClient) -> dict[str, Any]:
    """The receipt of the erasure, after which reads show it."""
    body = {"bankId": "bank-1", "customerId": CUSTOMER, "reason": "case 17"}
    answer = await client.post(ERASE, json=body, headers=system.token("lead"))
    assert answer.status_code == 200, answer.text
    again = await client.post(ERASE, json=body, headers=system.token("lead"))
    assert again.content == answer.content
    client.headers["Ledger-Min-Position"] = answer.headers["Ledger-Position"]
    told: dict[str, Any] = answer.json()
    return told


async def see_nothing(system: System, client: httpx.AsyncClient) -> None:
    """No reader is shown anything of the customer, and the other customer's is as it was."""
    for device, status in ((DEVICE, 404), (SEEN_DEVICE, 404), (OTHERS_DEVICE, 200)):
        found = await client.post(LOOKUP, json={"deviceId": device}, headers=system.merchant())
        assert found.status_code == status
    devices = await client.get("/settings/devices", headers=system.user(CUSTOMER))
    assert (devices.status_code, devices.json()) == (200, [])
    links = await client.get("/v1/bank/devices/list", headers=system.bank())
    assert [one["customerId"] for one in links.json()["data"]["devices"]] == [OTHER]


async def until_kafka_has_all(client: httpx.AsyncClient) -> None:
    """Return once no access record waits in the API's spool."""
    async with asyncio.timeout(60):
        while "access-log" in (await client.get("/readyz")).text:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)


async def until_signed(system: System, client: httpx.AsyncClient, events: int) -> None:
    """Return once a checkpoint covers so many events."""
    size, url = 0, "/v1/security/log/checkpoint"
    async with asyncio.timeout(60):
        while size < events:
            answer = await client.get(url, headers=system.token("security"))
            size = answer.json().get("size", 0)
            await asyncio.sleep(0.2)


async def check_receipt(system: System, client: httpx.AsyncClient, told: dict[str, Any]) -> None:
    """Who has the events log's public key and the note needs nothing else."""
    answer = await client.get("/v1/security/log/key", headers=system.token("security"))
    key = VerifierKey.parse(answer.json()["verifierKey"])
    assert open_receipt(told["note"], [key]) == told["receipt"]
    assert (told["receipt"]["devices"], told["receipt"]["keyGeneration"]) == (2, 1)


def check_export(system: System, file: Path) -> None:
    """The trail's skeleton is exported under the bank's pseudonym, whether archived yet or not."""
    done = system.run("export", "--customer", CUSTOMER, "-o", str(file))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == sorted(lines, key=lambda line: (line["at"], line["seq"], line["ref"]))
    assert [line["type"] for line in lines if line["log"] == "events"] == [
        "device.registered.v1",
        "device.linked.v1",
        "device.login_seen.v1",
        "device.registered.v1",
        "device.login_seen.v1",
        "device.deactivated.v1",
        "device.unlinked.v1",
        "device.deactivated.v1",
        "device.erased.v1",
        "device.erased.v1",
    ]
    accesses = [line["type"] for line in lines if line["log"] == "access"]
    assert (accesses.count("customer.erased.v1"), "device.looked_up.v1" in accesses) == (2, True)


def check_the_proofs(system: System, events: int) -> None:
    """History with the erasure in it is what the relay signed, on the topic and in the store."""
    for source in ("topic", "store"):
        done = system.run("verify", "--source", source)
        assert done.returncode == 0, done.stderr
        assert done.stdout.decode().startswith(f"Whole: {events} records")


def open_all(system: System, published: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """What opens of all sealed values on the topic with any key that the vault still has."""
    master = load_keys(system.settings).masters.newest
    keys = [
        master.unwrap(row.wrapped, row.bank_id, row.user_id, row.generation)
        for row in vault_rows(system)
        if row.wrapped is not None
    ]
    sealed = [
        (event["data"], name, event["data"][name])
        for event in published
        for name in FIELDS
        if name in event["data"]
    ]
    assert {name for _, name, _ in sealed} == FIELDS.keys()
    return {
        (value, FIELDS[name])
        for data, name, text in sealed
        for key in keys
        if (value := opened(key, FIELDS[name], data, text)) is not None
    }


def opened(key: bytes, field: str, data: dict[str, Any], sealed: str) -> str | None:
    """What a sealed value says, opened by its format alone."""
    content = from_text(sealed)
    bound = strings("device-ledger/sealed/v1", field, data["bankId"], data["userId"])
    try:
        return AESGCM(key).decrypt(content[_NONCE], content[_NONCE.stop :], bound).decode()
    except InvalidTag:
        return None


def vault_rows(system: System, customer: str = "") -> list[Row]:
    """The rows of the vault: all, or a customer's."""
    user_id = load_keys(system.settings).token.user_id("bank-1", customer) if customer else ""
    with closing(open_store(system.settings)) as store:
        rows = store.page(("", ""), 100)
    return [row for row in rows if user_id in {"", row.user_id}]


def check_a_backup(system: System, copies: Path, user_id: str, wrapped: str) -> None:
    """A backup that is made afterwards has no key of the customer's either."""
    done = system.run("backup", str(copies / "ledger"), "--vault", str(copies / "vault"))
    assert done.returncode == 0, done.stderr
    contents = [*files_below(copies), *sqlite_tables_below(copies)]
    assert traces([user_id], contents) != []
    assert traces([wrapped], contents) == []


def check_the_vault(system: System, user_id: str, wrapped: str) -> None:
    """The wrapped key lies in no file and no table of the vault any more."""
    folder = system.home / "vault"
    contents = [*files_below(folder), *sqlite_tables_below(folder)] if folder.exists() else []
    if url := system.settings.vault_url.get_secret_value():
        contents += postgres_tables(url)
    assert traces([user_id], contents) != []
    assert traces([wrapped], contents) == []
