"""The detector as a process: what it archives and what it tells, through kills at any moment."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from device_ledger.wire import access, alerts
from device_ledger.wire.topics import ACCESS, ALERTS, EVENTS
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from projections.archive.layout import archive_of
from projections.archive.reader import read_raw
from projections.detector.state import FILE
from tests.samples.accesses import flush, looked_up
from tests.samples.small_rules import LINKS, write_rules
from tests.support.events_topic import records_of, send
from tests.support.system import System

LINKS_EACH = 3
"""Links of a customer, the last of which completes an alert."""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The directory of the rules."""
    return write_rules(tmp_path / "rules")


@asynccontextmanager
async def running(home: Path, rules: Path) -> AsyncIterator[tuple[System, httpx.AsyncClient]]:
    """A system of its own with a detector, and a client of it."""
    with System(home, env={"DEVICE_LEDGER_RULES": str(rules)}) as system:
        system.start("broker", "api", "relay", "streams", "detector")
        async with system.client() as client:
            await until((archive_of(home) / FILE).exists)
            yield system, client


async def until(holds: Callable[[], bool], within: float = 60.0) -> None:
    """Wait until something holds that tells nobody when it does."""
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def link(system: System, client: httpx.AsyncClient, number: int) -> None:
    """Link another device; each customer gets three, one after the other."""
    customer = number // LINKS_EACH
    body = {"customerId": f"customer-{customer}", "phrase": f"phrase {customer}"}
    answer = await client.post(
        "/v1/bank/customer/device/link",
        json=body | {"deviceId": f"device-{number}"},
        headers=system.bank(),
    )
    assert answer.status_code == 200


async def miss(system: System, client: httpx.AsyncClient, number: int) -> None:
    """Look up a device that nobody knows."""
    answer = await client.post(
        "/v1/customer/device/lookup",
        json={"deviceId": f"unknown-{number}"},
        headers=system.merchant(f"shop-{number // LINKS_EACH}"),
    )
    assert answer.status_code == 404


async def raised(system: System) -> list[alerts.AlertRecord]:
    """The alerts on their topic, as often as they are there."""
    found = [alerts.decode(one.value or b"") for one in await records_of(system.servers, ALERTS)]
    return [one for one in found if one.type == alerts.ALERT_RAISED]


async def until_raised(system: System, count: int) -> list[alerts.AlertRecord]:
    """The alerts, once there are so many."""
    async with asyncio.timeout(60):
        while len(found := await raised(system)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    return found


async def bytes_of(system: System) -> tuple[list[bytes], list[bytes]]:
    """The events in the order of their ids, and the access records in that of their topic."""
    told = [one.value or b"" for one in await records_of(system.servers, EVENTS)]
    flushes = [one.value or b"" for one in await records_of(system.servers, ACCESS)]
    lines = [line for value in flushes for line in access.split(value)]
    return sorted(told, key=lambda value: int(json.loads(value)["id"])), lines


def archived(system: System) -> tuple[list[bytes], list[bytes]]:
    """What the archive holds, in the same orders."""
    archive = archive_of(system.home)
    return (
        [line.raw for line in read_raw(archive, EVENTS_LOG)],
        [line.raw for line in read_raw(archive, ACCESS_LOG)],
    )


def replayed(system: System, rules: Path, *words: str) -> dict[str, Any]:
    """The result of ``device-ledger replay`` over the last hour."""
    result = system.home / "result.json"
    run = system.run(
        "replay", "--from", "60m", "--rules", str(rules), "--json", str(result), *words
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(result.read_bytes())
    return found


async def until_ripe(system: System, rules: Path, count: int) -> dict[str, Any]:
    """A replay, once what it replays is old enough for it to take all of it."""
    async with asyncio.timeout(60):
        while len((found := replayed(system, rules))["alerts"]) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    return found


async def test_everything_is_archived_and_alerted_once_and_a_replay_compares(
    tmp_path: Path, rules: Path
) -> None:
    async with running(tmp_path / "home", rules) as (system, client):
        for number in range(12):
            await link(system, client, number)
            await miss(system, client, number)
        found = await until_raised(system, 8)
        assert Counter(one.data["rule"] for one in found) == {"links": 4, "misses": 4}
        assert [len(one.data["evidence"]) for one in found] == [LINKS_EACH] * 8
        system.stop("relay")
        topic = await bytes_of(system)
        await until(lambda: tuple(map(len, archived(system))) == tuple(map(len, topic)))
        assert archived(system) == topic
        result = await until_ripe(system, rules, 8)
        assert result["counts"] == {"new": 0, "gone": 0, "same": 8}
        live = {one.id: dict(one.data) for one in found}
        again = {
            one["id"]: {name: value for name, value in one.items() if name not in {"id", "was"}}
            for one in result["alerts"]
        }
        assert again == live
        before = await records_of(system.servers, ALERTS)
        stricter = write_rules(tmp_path / "stricter", links=LINKS.replace("gte: 3", "gte: 2"))
        changed = {"new": 4, "gone": 4, "same": 0}
        assert replayed(system, stricter)["counts"] == changed
        assert replayed(system, stricter, "--bank", "bank-1")["counts"] == changed
        nothing = {"new": 0, "gone": 0, "same": 0}
        assert replayed(system, stricter, "--bank", "bank-2")["counts"] == nothing
        assert await records_of(system.servers, ALERTS) == before


async def test_no_alert_is_lost_and_none_comes_twice_however_often_it_is_killed(
    tmp_path: Path, rules: Path
) -> None:
    async with running(tmp_path / "home", rules) as (system, client):
        for kill in range(5):
            for number in range(kill * 6, kill * 6 + 3):
                await link(system, client, number)
            # Between the acts, the watermark and the saved state: another moment each time.
            await asyncio.sleep(0.35 * kill)
            system.kill("detector")
            # While it is away it misses nothing.
            for number in range(kill * 6 + 3, kill * 6 + 6):
                await link(system, client, number)
            system.start("detector")
        found = await until_raised(system, 10)
        result = await until_ripe(system, rules, 10)
        assert Counter(one.id for one in await raised(system)) == dict.fromkeys(
            [one.id for one in found], 1
        )
        assert result["counts"] == {"new": 0, "gone": 0, "same": 10}
        system.stop("relay")
        topic = await bytes_of(system)
        await until(lambda: tuple(map(len, archived(system))) == tuple(map(len, topic)))
        assert archived(system) == topic


async def test_it_gives_way_to_what_callers_wait_for(tmp_path: Path, rules: Path) -> None:
    async with running(tmp_path / "home", rules) as (system, _):
        names = "api", "relay", "streams", "detector"
        nice = {name: psutil.Process(system.child(name).pid).nice() for name in names}
    assert nice.pop("detector") > max(nice.values())


async def test_it_outlives_kafka_and_tells_afterwards_what_happened_meanwhile(
    tmp_path: Path, rules: Path
) -> None:
    async with running(tmp_path / "home", rules) as (system, client):
        pid = system.child("detector").pid
        for number in range(LINKS_EACH):
            await link(system, client, number)
        system.kill("broker")
        for number in range(LINKS_EACH, 2 * LINKS_EACH):
            await link(system, client, number)
            await miss(system, client, number)
        # What is away is silent: only who had something to tell then notices it.
        system.start("broker")
        found = await until_raised(system, 3)
        groups = [one.data.get("customerId") or one.data["merchantId"] for one in found]
        assert sorted(groups) == ["customer-0", "customer-1", "shop-1"]
        assert system.runs("detector")
        assert system.child("detector").pid == pid


async def test_a_rule_that_is_dropped_in_counts_from_then_on(tmp_path: Path) -> None:
    rules = write_rules(tmp_path / "rules", other=LINKS)
    async with running(tmp_path / "home", rules) as (system, client):
        for number in range(LINKS_EACH):
            await link(system, client, number)
        await until_raised(system, 1)
        (rules / "broken.yml").write_text("title: nothing")
        write_rules(rules, links=LINKS)

        def state() -> dict[str, Any]:
            found: dict[str, Any] = json.loads((archive_of(system.home) / FILE).read_bytes())
            return found

        await until(lambda: state()["rules"] == ["links", "other"])
        assert list(state()["failing"]) == ["broken.yml"]
        assert list(system.status()["detector"]["failing"]) == ["broken.yml"]
        for number in range(LINKS_EACH, 2 * LINKS_EACH):
            await link(system, client, number)
        found = await until_raised(system, 3)
        told = [(one.data["rule"], one.data["customerId"]) for one in found]
        assert Counter(told) == {
            ("other", "customer-0"): 1,
            ("other", "customer-1"): 1,
            ("links", "customer-1"): 1,
        }


async def test_a_record_that_comes_too_late_is_named_and_completes_its_alert(
    tmp_path: Path, rules: Path
) -> None:
    async with running(tmp_path / "home", rules) as (system, client):
        await link(system, client, 0)
        state = archive_of(system.home) / FILE
        await until(lambda: "access" in json.loads(state.read_bytes())["passed"])
        passed = json.loads(state.read_bytes())["passed"]["access"]
        late = [record_at(looked_up(number, outcome="not-found"), passed) for number in range(3)]
        await send(system.servers, [flush(*late)._replace(headers=(access.NDJSON_HEADER,))], ACCESS)
        await send(system.servers, [flush(late[0])], ACCESS)

        async def told() -> list[alerts.AlertRecord]:
            found = [
                alerts.decode(r.value or b"") for r in await records_of(system.servers, ALERTS)
            ]
            return [one for one in found if one.type == alerts.RECORDS_LATE]

        async with asyncio.timeout(60):
            while not (named := await told()):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        assert [(one.data["count"], one.data["refs"]) for one in named] == [
            (3, [one.id for one in late])
        ]
        [alert] = await until_raised(system, 1)
        assert alert.data["completedBy"] == max(one.id for one in late)
        system.kill("detector")
        system.start("detector")
        result = await until_ripe(system, rules, 1)
        assert result["counts"] == {"new": 0, "gone": 0, "same": 1}
        assert result["late"] == {"count": 3, "refs": [one.id for one in late]}
        assert await told() == named


def record_at(record: access.AccessRecord, at: str) -> access.AccessRecord:
    """The record, recorded at another time."""
    return access.AccessRecord(
        record.id, record.source, record.type, record.subject, at, record.data
    )


async def test_a_replay_follows_what_comes_until_it_is_stopped(tmp_path: Path, rules: Path) -> None:
    async with running(tmp_path / "home", rules) as (system, client):
        await link(system, client, 0)
        words = ("replay", "--from", "60m", "--follow", "--rules", str(rules))
        following = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "device_ledger", *words,
            env=system.environment, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert following.stdout is not None
        async with asyncio.timeout(60):
            # The table's last line: from here on it follows.
            while not (await following.stdout.readline()).startswith("└".encode()):
                pass
            for number in range(1, LINKS_EACH):
                await link(system, client, number)
            assert b"links (high)" in await following.stdout.readline()
        following.terminate()
        assert await following.wait() == 0
        assert not list((system.home / "run").glob("replay-*"))
