"""Whatever comes in whatever order, as often as it likes: the read models are the same."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.guard import KafkaRecord
from tests.samples import events
from tests.support.postgres import fresh_database
from tests.support.projecting import PARTITIONS, Projecting
from tests.support.read_models import EVENT_MODELS, Dump

RECORDS = events.on_partitions(events.history(8), PARTITIONS)
NOISE = KafkaRecord(0, 0, None, b"no event", ())


@st.composite
def deliveries(draw: st.DrawFn) -> list[tuple[list[KafkaRecord], list[int]]]:
    """Steps: what is put on the topic (in order, with repeats and noise), what is delivered."""
    steps = []
    sent = 0
    while sent < len(RECORDS):
        until = draw(st.integers(sent + 1, len(RECORDS)))
        again = draw(st.integers(0, min(sent, 4)))
        noise = [NOISE] * draw(st.integers(0, 1))
        steps.append((RECORDS[sent - again : until] + noise, draw(st.lists(st.integers(0, 99)))))
        sent = until
    return steps


async def deliver(projecting: Projecting, steps: list[tuple[list[KafkaRecord], list[int]]]) -> Dump:
    """Put on the topic, deliver any of what is there, and keep up in the end; what is shown."""
    projectors = [projecting.live(model) for model in EVENT_MODELS]
    for sent, delivered in steps:
        projecting.topic.add(sent)
        there = [record for held in projecting.topic.held.values() for record in held]
        batch = [there[index % len(there)] for index in delivered]
        for projector in projectors:
            await projector.apply(batch)
    for projector in projectors:
        await projector.keep_up(projecting.topic.ends)
        await projector.keep_up(projecting.topic.ends)
        await projector.close()
    return await projecting.dump()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Dump:
    """What every event once, in order, gives."""

    async def build() -> Dump:
        fresh = Projecting("", tmp_path_factory.mktemp("expected"))
        await fresh.apply([])
        for record in RECORDS:
            fresh.topic.add([record])
            await fresh.apply([record])
        return await fresh.dump()

    return asyncio.run(build())


@given(steps=deliveries())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_delivery_gives_the_same_read_models(
    steps: list[tuple[list[KafkaRecord], list[int]]], expected: Dump
) -> None:
    with tempfile.TemporaryDirectory() as home:
        assert asyncio.run(deliver(Projecting("", Path(home)), steps)) == expected


@given(steps=deliveries())
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_on_postgresql_too(
    steps: list[tuple[list[KafkaRecord], list[int]]],
    expected: Dump,
    postgres: str,
    tmp_path: Path,
) -> None:
    with fresh_database(postgres) as url:
        assert asyncio.run(deliver(Projecting(url, tmp_path), steps)) == expected
