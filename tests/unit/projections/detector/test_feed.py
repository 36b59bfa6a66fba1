"""Up to when all has come, by what the relay tells and by the detector's own clock."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition

from device_ledger.wire.progress import Progress, encode
from device_ledger.wire.topics import PROGRESS
from projections.archive.reader import text
from projections.detector.feed import Feed

AT = TopicPartition(PROGRESS, 0)


class Telling:
    """A consumer of topics on which nothing comes but progress, one record at a time."""

    def __init__(self, *throughs: str) -> None:
        self._values = [encode(Progress(1, through)) for through in throughs]

    async def getmany(self, **_: object) -> dict[TopicPartition, list[Any]]:
        return {AT: [SimpleNamespace(value=self._values.pop(0))]}

    async def end_offsets(self, _: object) -> dict[TopicPartition, int]:
        return {}


def feed_of(*throughs: str) -> Feed:
    return Feed(cast("AIOKafkaConsumer", Telling(*throughs)), [])


async def test_what_was_complete_stays_so_where_another_relay_is_behind() -> None:
    first, second = "2026-01-31T09:30:05.000Z", "2026-01-31T09:30:01.000Z"
    feed = feed_of(first, second)
    assert [(await feed.next(0)).through for _ in range(2)] == [first, None]


async def test_a_relay_whose_clock_is_ahead_completes_no_time_to_come() -> None:
    ahead = text(datetime.now(UTC) + timedelta(hours=1))
    arrived = await feed_of(ahead).next(0)
    assert arrived.through is not None
    assert arrived.asked is not None
    assert arrived.through <= text(arrived.asked)
