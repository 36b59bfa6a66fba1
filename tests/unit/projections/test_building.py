"""How many processes fill a generation."""

import os

import pytest

from projections import building
from projections.building import processes_for
from tests.samples import events
from tests.support.list_topic import ListTopic

EVENTS = events.history(1_200)


@pytest.mark.parametrize(
    ("cores", "partitions", "worth", "due"),
    [
        (8, 6, len(EVENTS) // 8, 4),
        (8, 3, len(EVENTS) // 8, 3),
        (2, 6, len(EVENTS) // 8, 2),
        (8, 6, len(EVENTS) // 2, 2),
        (8, 6, len(EVENTS) + 1, 1),
    ],
)
async def test_as_many_as_are_of_use(
    cores: int, partitions: int, worth: int, due: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(building, "_WORTH", worth)
    topic = ListTopic(partitions, events.on_partitions(EVENTS, partitions))
    assert await processes_for(topic) == due


async def test_one_where_nothing_is_read() -> None:
    assert await processes_for(ListTopic(3)) == 1
