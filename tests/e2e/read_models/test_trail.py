"""The trail on a real Kafka: each access and each alert once, whatever befalls worker and topic."""

import asyncio

from device_ledger.wire.access import AccessRecord
from device_ledger.wire.topics import ACCESS as ACCESS_TOPIC
from device_ledger.wire.topics import ALERTS as ALERTS_TOPIC
from device_ledger.wire.trail import Entry, entry_of_access
from projections.alerts.apply import MODEL as ALERTS
from projections.guard import KafkaRecord
from projections.readers import open_read_models
from projections.trail.apply import ACCESS
from projections.trail.queries import TrailFilter, search
from tests.samples.accesses import flush, looked_up
from tests.samples.alerts import acknowledged, on_topic, raised
from tests.support import events_topic
from tests.support.workers import Running

RECORDS = [looked_up(number) for number in range(400)]


def flushes(records: list[AccessRecord]) -> list[KafkaRecord]:
    """Eight in a record; every third record is sent twice, and so are a few of the one before."""
    sent = []
    for start in range(0, len(records), 8):
        sent.append(flush(*records[max(0, start - 2) : start + 8]))
        if start % 3 == 0:
            sent.append(sent[-1])
    return sent


async def shown(running: Running, accesses: int) -> list[Entry]:
    """The access records shown once so many of their Kafka records are."""
    models = await open_read_models(running.settings)
    try:
        assert await models.wait_for(ACCESS.name, {0: accesses}, 60)
        found = await search(models, TrailFilter(), newest_first=False, limit=10_000)
        assert found.value.accesses == {0: accesses}
        return found.value.entries
    finally:
        await models.close()


def entries(records: list[AccessRecord]) -> list[Entry]:
    """Their lines of the trail."""
    return [entry_of_access(record) for record in records]


async def test_a_killed_worker_keeps_every_access_once(running: Running) -> None:
    sent = flushes(RECORDS)
    for part in range(0, len(sent), 20):
        await events_topic.send(running.servers, sent[part : part + 20], ACCESS_TOPIC)
        await asyncio.to_thread(running.worker.kill)
        running.worker.start()
    assert await shown(running, len(sent)) == entries(RECORDS)


async def test_an_access_topic_that_was_made_anew_is_read_from_its_start(
    on_sqlite: Running,
) -> None:
    await events_topic.send(on_sqlite.servers, flushes(RECORDS[:80]), ACCESS_TOPIC)
    await shown(on_sqlite, len(flushes(RECORDS[:80])))
    await asyncio.to_thread(on_sqlite.worker.kill)
    await events_topic.remake(on_sqlite.servers, 1, ACCESS_TOPIC)
    sent = flushes(RECORDS[80:])
    await events_topic.send(on_sqlite.servers, sent, ACCESS_TOPIC)
    on_sqlite.worker.start()
    on_sqlite.worker.wait_until_ready()
    assert await shown(on_sqlite, len(sent)) == entries(RECORDS[80:])


async def test_alerts_are_shown_and_acknowledged(on_sqlite: Running) -> None:
    told = [raised(1), raised(2), acknowledged(3, raised(1)), raised(2)]
    await events_topic.send(on_sqlite.servers, [on_topic(one) for one in told], ALERTS_TOPIC)
    models = await open_read_models(on_sqlite.settings)
    assert await models.wait_for(ALERTS.name, {0: 4}, 60)
    statement = "SELECT id, acknowledged_by FROM alerts ORDER BY id"
    [rows] = (await models.read(ALERTS.name, (statement, {}))).value
    assert rows == [("alert-001", "lead-1"), ("alert-002", None)]
    await models.close()
