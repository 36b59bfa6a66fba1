"""Alerts are acknowledged: on Kafka before the answer, and once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from device_ledger.settings import Settings
from device_ledger.wire.alerts import ALERT_ACKNOWLEDGED
from device_ledger.wire.topics import ALERTS
from projections.guard import KafkaRecord
from tests.contract.http.test_security_alerts import PATH, acknowledge, listed
from tests.support.events_topic import make_topics, records_of, send
from tests.support.installation import serving
from tests.support.trail import Trail, an_alert, whole_trail


@pytest.fixture
async def followed(tmp_path: Path, kafka: str) -> AsyncIterator[Trail]:
    """An installation with a Kafka that holds its alerts."""
    await make_topics(kafka, 1, ALERTS)
    settings = Settings(home=tmp_path, embedded_issuer=True, KAFKA_BOOTSTRAP_SERVERS=kafka)
    async with serving(settings) as api, whole_trail(api) as trail:
        yield trail


async def raised(trail: Trail, completed_by: str, **data: Any) -> str:
    """An alert that is on Kafka, and shown."""
    # No other run's: the topic may have those still.
    rule = f"rule-{trail.api.services.ledger.identity.ledger_id}"
    alert, value = an_alert(rule, completed_by, **data)
    await send(trail.api.settings.brokers, [KafkaRecord(0, 0, None, value, ())], ALERTS)
    await trail.follow()
    return alert


async def acknowledgements(trail: Trail, alert: str) -> list[dict[str, Any]]:
    """What the topic says of who took note of an alert."""
    records = await records_of(trail.api.settings.brokers, ALERTS)
    events = [orjson.loads(one.value or b"") for one in records]
    return [
        one["data"]
        for one in events
        if one["type"] == ALERT_ACKNOWLEDGED and one["data"]["alert"] == alert
    ]


async def while_following(trail: Trail, *calls: Any) -> list[httpx.Response]:
    """The answers of calls that are made while the read model follows the topic."""
    answers = asyncio.gather(*calls)
    while not answers.done():
        await trail.follow()
    return list(await answers)


async def test_an_acknowledgement_is_on_kafka_when_it_is_answered_and_the_first_stays(
    followed: Trail,
) -> None:
    api = followed.api
    alert = await raised(followed, "1", bankId="bank-1")
    [first] = await while_following(followed, acknowledge(api, alert, note="it was her"))
    told = first.json()["acknowledged"]
    assert (first.status_code, told) == (
        200,
        {"at": told["at"], "by": "dev-lead", "note": "it was her"},
    )
    assert await acknowledgements(followed, alert) == [
        {"alert": alert, "actor": "dev-lead", "at": told["at"], "note": "it was her"}
    ]
    again = await acknowledge(api, alert, api.token("lead", bank_id="bank-1"), note="another")
    assert (again.status_code, again.json()) == (200, first.json())
    shown = await api.client.get(f"{PATH}/{alert}", headers=api.token("security"))
    assert shown.json()["acknowledged"] == told
    assert len(await acknowledgements(followed, alert)) == 1


async def test_of_two_acknowledgements_at_once_one_is_written(followed: Trail) -> None:
    api = followed.api
    alert = await raised(followed, "2")
    answers = await while_following(
        followed, *(acknowledge(api, alert, note=str(number)) for number in range(3))
    )
    assert [one.status_code for one in answers] == [200] * 3
    assert len({one.text for one in answers}) == 1
    assert len(await acknowledgements(followed, alert)) == 1


async def test_nobody_acknowledges_without_kafka(trail: Trail) -> None:
    alert = await trail.alert("device-farm", "1")
    response = await acknowledge(trail.api, alert)
    assert (response.status_code, response.json()["code"]) == (503, "kafka-away")
    assert "Retry-After" in response.headers
    assert (await listed(trail.api)).json()["alerts"][0]["acknowledged"] is None


@pytest.mark.parametrize("body", [{"note": ""}, {"note": "n" * 1001}, {"note": 1}, {"by": "me"}])
async def test_a_bad_note_is_refused(trail: Trail, body: dict[str, Any]) -> None:
    alert = await trail.alert("device-farm", "1")
    response = await acknowledge(trail.api, alert, **body)
    assert (response.status_code, response.json()["code"]) == (400, "bad-input")
