"""What was told on the alerts topic, from an offset or a time on."""

from datetime import UTC, datetime, timedelta

from device_ledger.wire.topics import ALERTS
from projections.archive.reader import MOMENT
from projections.detector.told import read_told
from tests.samples import alerts
from tests.support.events_topic import remake, send


async def test_it_is_read_from_an_offset_or_a_time_on(kafka: str) -> None:
    await remake(kafka, 1, ALERTS)
    first, second = alerts.raised(1), alerts.raised(2)
    begun = datetime.now(UTC)
    await send(kafka, [alerts.on_topic(first)], ALERTS)
    between = datetime.now(UTC) + MOMENT
    await send(kafka, [alerts.on_topic(second)], ALERTS)
    for since, told in (
        (0, [first, second]),
        (1, [second]),
        (9, [first, second]),
        (begun, [first, second]),
        (between, [second]),
        (begun + timedelta(hours=1), []),
    ):
        found = await read_told(kafka, since)
        assert list(found.alerts.values()) == told, since
        assert found.next_offset == 2
