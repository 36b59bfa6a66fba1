"""Where no Kafka is, access records are spooled; what can't be kept is not answered."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from uuid_utils import uuid4, uuid7

from api import recorder
from api.metrics import Metrics
from api.recorder import open_recorder
from api.spool import open_spool
from device_ledger.broker import free_port
from device_ledger.settings import Settings
from device_ledger.wire.access import REQUEST_REFUSED, AccessRecord, encode
from device_ledger.wire.topics import ACCESS
from tests.support.access_log import on_kafka, spooled, until_sent
from tests.support.events_topic import make_topics
from tests.support.installation import Installation, serving

LOOKUP = "/v1/customer/device/lookup"
LIST = "/v1/bank/devices/list"
DEVICE = {"deviceId": "device-1"}
RECORD = AccessRecord(
    id="019a0000-0000-7000-8000-000000000001",
    source=f"urn:device-ledger:{uuid4()}:1",
    type=REQUEST_REFUSED,
    subject=None,
    time="2026-01-31T09:30:00.000Z",
    data={},
)


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Installation]:
    """The API where no Kafka is, with a spool for few records."""
    settings = Settings(
        home=tmp_path, embedded_issuer=True, broker_port=free_port(), access_spool_bytes=2_000
    )
    async with serving(settings) as installation:
        yield installation


async def test_a_full_spool_answers_503_and_nothing_is_answered_without_its_record(
    alone: Installation,
) -> None:
    calls = [("POST", LOOKUP, alone.merchant()), ("GET", LIST, alone.bank()), ("GET", LIST, {})]
    answers: list[httpx.Response] = []
    for number in range(12):
        method, path, headers = calls[number % 3]
        body = DEVICE if method == "POST" else None
        marked = headers | {"X-Request-ID": f"call-{number}"}
        answers.append(await alone.client.request(method, path, json=body, headers=marked))
    kept = [f"call-{number}" for number, one in enumerate(answers) if one.status_code != 503]
    assert [one.data["requestId"] for one in spooled(alone.settings.home)] == kept
    assert kept[:3] == ["call-0", "call-1", "call-2"]
    refused = answers[-1]
    message = "The service is not available right now; try again"
    assert (refused.status_code, refused.json()) == (
        503,
        {"statusCode": 503, "success": False, "message": message},
    )
    assert refused.headers["Retry-After"] == "1"
    assert "access-log" in (await alone.client.get("/readyz")).json()["down"]


async def test_what_one_process_spooled_the_next_sends(
    alone: Installation, tmp_path: Path, kafka: str
) -> None:
    await make_topics(kafka, 1, ACCESS)
    await alone.client.post(LOOKUP, json=DEVICE, headers=alone.merchant())
    [kept] = spooled(tmp_path)
    alone.services.recorder._spool.close()
    with open_spool(tmp_path, 2_000) as spool:
        async with open_recorder(kafka, spool, Metrics()) as recorder:
            await until_sent(recorder)
    assert await on_kafka(kafka, kept.source) == [kept]
    assert spooled(tmp_path) == []


async def test_what_was_sent_before_kafka_was_lost_again_is_not_sent_again(
    tmp_path: Path, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_topics(kafka, 1, ACCESS)
    # Each too large to go together with another.
    kept = [replace(RECORD, id=str(uuid7()), data={"reason": "x" * 300_000}) for _ in range(3)]
    really_send = recorder._send
    calls = 0

    async def send(producer: AIOKafkaProducer, value: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise TimeoutError
        await really_send(producer, value)

    monkeypatch.setattr(recorder, "_send", send)
    with open_spool(tmp_path, 1 << 20) as spool:
        for one in kept:
            spool.append(encode(one))
        async with open_recorder(kafka, spool, Metrics()) as made:
            await until_sent(made)
    assert await on_kafka(kafka, RECORD.source) == kept
