"""What each released version left behind is opened, read and gone on with by today's code."""

import asyncio
import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from device_ledger.wire.topics import ACCESS, EVENTS
from tests.support import release
from tests.support.events_topic import records_of, send
from tests.support.postgres import fresh_database
from tests.support.published import without_topics
from tests.support.system import System, link

FIXTURES = Path(__file__).parents[1] / "fixtures"
RELEASES = sorted(
    path.relative_to(FIXTURES).as_posix().removesuffix(".tar.xz")
    for path in FIXTURES.glob("*/*.tar.xz")
)


@pytest.fixture(params=RELEASES)
def left_behind(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of a release's files."""
    with tarfile.open(FIXTURES / f"{request.param}.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path


@pytest.fixture
def system(left_behind: Path, kafka: str, request: pytest.FixtureRequest) -> Iterator[System]:
    """Today's processes on what a release left behind, its topics included."""
    with ExitStack() as stack:
        urls = ["", "", ""]
        if (left_behind / "events.sql").exists():
            server = request.getfixturevalue("postgres")
            urls = [stack.enter_context(fresh_database(server)) for _ in release.DATABASES]
            for name, url in zip(release.DATABASES, urls, strict=True):
                dump = left_behind / f"{name}.sql"
                release.postgres_tool("psql", url, "--set=ON_ERROR_STOP=1", f"--file={dump}")
        asyncio.run(without_topics(kafka))
        asyncio.run(fill(kafka, topics_of(left_behind)))
        yield stack.enter_context(
            System(
                left_behind / "home",
                kafka,
                event_store_url=urls[0],
                read_models_url=urls[1],
                vault_url=urls[2],
            )
        )


def topics_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The records of each topic, as a release wrote them."""
    found: dict[str, list[dict[str, Any]]] = json.loads((folder / "topics.json").read_text())
    return found


async def fill(servers: str, topics: dict[str, list[dict[str, Any]]]) -> None:
    """Make the topics as they were, with what was on them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(EVENTS, 8, 1), NewTopic(ACCESS, 1, 1)])
    finally:
        await admin.close()
    for name, records in topics.items():
        await send(servers, [release.read(one) for one in records], name)


async def test_what_a_release_left_is_answered_gone_on_with_and_rebuilt_the_same(
    system: System, left_behind: Path
) -> None:
    told = json.loads((left_behind / "answers.json").read_text())
    before = [one["value"] for one in topics_of(left_behind)[EVENTS]]
    refused = await asyncio.to_thread(system.run, "api")
    assert refused.returncode == 1
    assert b"run `device-ledger migrate`" in refused.stderr
    for was in (b"was 1", b"already"):
        migrated = await asyncio.to_thread(system.run, "migrate")
        assert migrated.returncode == 0, migrated.stderr
        assert migrated.stdout.count(was) == 3
    await asyncio.to_thread(system.start, "api", "relay", "streams")
    async with system.client() as client:
        position = await link(system, client, 50)
        assert without_new(await release.answers(system, position)) == told
        rebuilt = await asyncio.to_thread(system.run, "rebuild", "all")
        assert rebuilt.returncode == 0, rebuilt.stderr
        assert without_new(await release.answers(system, position)) == told
        # One whose state a release kept as a snapshot is decided on as before.
        taken = {"customerId": "customer-0", "phrase": "phrase 0", "deviceId": "device-4"}
        path = "/v1/bank/customer/device/link"
        answer = await client.post(path, json=taken, headers=system.bank())
        assert answer.json()["message"] == "Device already linked to another customer"
        await release.answers(system, answer.headers["Ledger-Position"])
    now = [release.written(one)["value"] for one in await records_of(system.servers, EVENTS)]
    assert set(before) < set(now)
    assert len(now) == len(before) + 3
    verified = await asyncio.to_thread(system.run, "verify", "--source", "store")
    assert verified.returncode == 0, verified.stderr


def without_new(answers: dict[str, Any]) -> dict[str, Any]:
    """The answers but for the device that was linked today."""
    devices = answers["list"]["devices"]
    assert devices[0]["deviceId"] == "device-50"
    answers["list"]["devices"] = devices[1:]
    answers["list"]["total"] -= 1
    return answers
