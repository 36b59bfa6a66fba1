"""Reading a topic: the same of a list, which tests stand on, and of Kafka itself."""

from collections.abc import Awaitable, Callable
from typing import Literal
from uuid import uuid4

import pytest

from projections.guard import KafkaRecord
from projections.topic import Topic, TopicMissingError
from tests.samples import events
from tests.support import events_topic
from tests.support.list_topic import ListTopic

PARTITIONS = 2
RECORDS = events.on_partitions(events.history(6), PARTITIONS)
Held = dict[int, list[KafkaRecord]]


class AnyTopic:
    """A topic with two partitions, and what befalls it."""

    def __init__(
        self,
        topic: Topic,
        add: Callable[[list[KafkaRecord]], Awaitable[None]],
        empty: Callable[[], Awaitable[None]],
    ) -> None:
        self.topic = topic
        self.add = add
        self.empty = empty

    async def bounds(self) -> dict[int, tuple[int, int]]:
        """The bounds of both partitions."""
        async with self.topic.reading() as reading:
            return await reading.bounds(range(PARTITIONS))

    async def read(self, starts: dict[int, int], ends: dict[int, int]) -> Held:
        """The records between."""
        found: Held = {}
        async with self.topic.reading() as reading:
            async for batch in reading.batches(starts, ends):
                for partition, records in batch.items():
                    found.setdefault(partition, []).extend(records)
        return found


@pytest.fixture(params=["list", "kafka"])
async def any_topic(request: pytest.FixtureRequest) -> AnyTopic:
    """A list, then Kafka."""
    kind: Literal["list", "kafka"] = request.param
    if kind == "list":
        listed = ListTopic(PARTITIONS)

        async def add(records: list[KafkaRecord]) -> None:
            listed.add(records)

        async def empty() -> None:
            listed.empty()

        return AnyTopic(listed, add, empty)
    servers, name = request.getfixturevalue("kafka"), f"reading-{uuid4()}"
    await events_topic.make_topics(servers, PARTITIONS, name)
    return AnyTopic(
        Topic(servers, name),
        lambda records: events_topic.send(servers, records, name),
        lambda: events_topic.empty(servers, PARTITIONS, name),
    )


def of(partition: int) -> list[KafkaRecord]:
    """The sample's records of a partition."""
    return [record for record in RECORDS if record.partition == partition]


ENDS = {0: len(of(0)), 1: len(of(1))}


async def test_it_tells_its_partitions_and_bounds(any_topic: AnyTopic) -> None:
    assert await any_topic.topic.partitions() == PARTITIONS
    assert await any_topic.bounds() == {0: (0, 0), 1: (0, 0)}
    await any_topic.add(RECORDS)
    assert await any_topic.bounds() == {0: (0, ENDS[0]), 1: (0, ENDS[1])}


async def test_records_come_as_they_went_in_order(any_topic: AnyTopic) -> None:
    await any_topic.add(RECORDS)
    assert await any_topic.read({0: 0, 1: 0}, ENDS) == {0: of(0), 1: of(1)}


async def test_it_reads_from_any_offset(any_topic: AnyTopic) -> None:
    await any_topic.add(RECORDS)
    assert await any_topic.read({0: 3, 1: ENDS[1]}, ENDS) == {0: of(0)[3:]}


async def test_nothing_is_read_where_there_is_nothing(any_topic: AnyTopic) -> None:
    assert await any_topic.read({0: 0, 1: 0}, {0: 0, 1: 0}) == {}


async def test_emptied_its_offsets_go_on(any_topic: AnyTopic) -> None:
    await any_topic.add(RECORDS)
    await any_topic.empty()
    assert await any_topic.bounds() == {0: (ENDS[0], ENDS[0]), 1: (ENDS[1], ENDS[1])}
    await any_topic.add(RECORDS[:1])
    [first] = RECORDS[:1]
    begin = ENDS[first.partition]
    assert await any_topic.read({first.partition: begin}, {first.partition: begin + 1}) == {
        first.partition: [first._replace(offset=begin)]
    }


async def test_a_reader_may_go_back(any_topic: AnyTopic) -> None:
    await any_topic.add(of(0))
    found: list[KafkaRecord] = []
    async with any_topic.topic.reading() as reading:
        async for batch in reading.batches({0: 2}, {0: ENDS[0]}):
            if not found:
                reading.seek(0, 0)
                found += batch[0][:1]
            else:
                found += batch[0]
    assert found == [of(0)[2], *of(0)]


async def test_what_comes_is_followed_without_an_end(any_topic: AnyTopic) -> None:
    await any_topic.add(of(0))
    async with any_topic.topic.reading() as reading:
        reading.begin({0: 2, 1: 0})
        found: list[KafkaRecord] = []
        while len(found) < ENDS[0] - 2:
            found += await reading.more(10.0)
        assert found == of(0)[2:]
        assert await reading.more(0.0) == []
        await any_topic.add(of(1))
        while len(found) < ENDS[0] - 2 + ENDS[1]:
            found += await reading.more(10.0)
        assert found == [*of(0)[2:], *of(1)]


async def test_a_topic_that_is_not_there_is_told(kafka: str) -> None:
    with pytest.raises(TopicMissingError, match="is not there yet"):
        await Topic(kafka, f"none-{uuid4()}").partitions()
