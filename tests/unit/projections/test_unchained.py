"""Topics without a chain: the offset tells what is new, the bytes whether the topic is the same."""

import pytest

from device_ledger.wire.topics import ACCESS as ACCESS_TOPIC
from device_ledger.wire.trail import entry_of_access
from projections.guard import HistoryChangedError, KafkaRecord, Malformed, by_offset
from projections.projector import Projector
from projections.rebuild import RebuildError
from projections.trail.apply import ACCESS
from tests.samples.accesses import flush, looked_up
from tests.support.projecting import Projecting

RECORDS = [looked_up(number) for number in range(9)]
FLUSHES = [flush(*RECORDS[:3]), flush(*RECORDS[3:6]), flush(*RECORDS[6:])]
ROWS = [entry_of_access(record) for record in RECORDS]


def lying(*flushes: KafkaRecord) -> list[KafkaRecord]:
    """The records as they lie on a topic that holds nothing else."""
    return [record._replace(offset=offset) for offset, record in enumerate(flushes)]


async def test_a_record_gives_a_row_for_each_of_its_lines(projecting: Projecting) -> None:
    await projecting.show(ACCESS, *FLUSHES)
    assert await projecting.rows(ACCESS) == ROWS


async def test_a_stream_needs_no_look_at_the_topic(projecting: Projecting) -> None:
    await projecting.show(ACCESS)
    readings = projecting.topics[ACCESS_TOPIC].readings
    live = projecting.live(ACCESS)
    await live.apply(lying(*FLUSHES)[:2])
    await live.apply(lying(*FLUSHES)[1:])
    await live.close()
    assert await projecting.rows(ACCESS) == ROWS
    assert projecting.topics[ACCESS_TOPIC].readings == readings


async def test_what_a_stream_leaves_out_is_fetched(projecting: Projecting) -> None:
    await projecting.show(ACCESS, FLUSHES[0])
    projecting.topics[ACCESS_TOPIC].add(FLUSHES[1:])
    live = projecting.live(ACCESS)
    await live.apply(lying(*FLUSHES)[2:])
    await live.close()
    assert await projecting.rows(ACCESS) == ROWS


async def test_what_is_told_twice_is_one_row(projecting: Projecting) -> None:
    again = flush(RECORDS[1], RECORDS[1], *RECORDS[2:5])
    await projecting.show(ACCESS, FLUSHES[0], again, *FLUSHES)
    assert await projecting.rows(ACCESS) == ROWS


async def test_the_first_telling_stays(projecting: Projecting) -> None:
    await projecting.show(ACCESS, *FLUSHES, flush(looked_up(4, outcome="not-found")))
    assert await projecting.rows(ACCESS) == ROWS


@pytest.mark.parametrize("later", [1, 2, 3, 7])
async def test_a_topic_that_was_made_anew_is_read_from_its_start(
    projecting: Projecting, later: int
) -> None:
    """Shorter, as long and longer than before: nothing of it is taken for a repeat."""
    await projecting.show(ACCESS, *FLUSHES)
    projecting.topics[ACCESS_TOPIC].remake()
    others = [looked_up(100 + number) for number in range(later)]
    await projecting.show(ACCESS, *(flush(other) for other in others))
    assert await projecting.rows(ACCESS) == [entry_of_access(other) for other in others]


async def test_keeping_up_notices_a_shorter_topic(projecting: Projecting) -> None:
    await projecting.show(ACCESS, *FLUSHES)
    live, topic = projecting.live(ACCESS), projecting.topics[ACCESS_TOPIC]
    topic.remake()
    topic.add(FLUSHES[:1])
    await live.apply(topic.held[0])
    assert await projecting.rows(ACCESS) == ROWS
    await live.keep_up(topic.ends)
    await live.close()
    assert await projecting.rows(ACCESS) == ROWS[:3]


async def test_other_bytes_at_the_last_offset_are_another_history(projecting: Projecting) -> None:
    await projecting.show(ACCESS, *FLUSHES[:2])
    name = projecting.store.live(ACCESS)
    assert name is not None
    generation = projecting.store.open(ACCESS, name, live=True)
    topic = projecting.topics[ACCESS_TOPIC]
    with pytest.raises(HistoryChangedError, match="partition 0: event 2 is not the one applied"):
        await Projector(ACCESS, generation, topic, projecting.letters).apply(
            [FLUSHES[2]._replace(offset=1)]
        )
    generation.close()


async def test_what_was_removed_at_the_start_stays_shown(projecting: Projecting) -> None:
    await projecting.show(ACCESS, *FLUSHES[:2])
    projecting.topics[ACCESS_TOPIC].empty()
    await projecting.show(ACCESS, FLUSHES[2])
    assert await projecting.rows(ACCESS) == ROWS


async def test_a_build_begins_where_the_topic_does(projecting: Projecting) -> None:
    topic = projecting.topics[ACCESS_TOPIC]
    topic.add(FLUSHES[:2])
    topic.empty()
    await projecting.show(ACCESS, FLUSHES[2])
    assert await projecting.rows(ACCESS) == ROWS[6:]


async def test_what_is_no_access_record_is_parked_once_and_passed(projecting: Projecting) -> None:
    lines, nothing = FLUSHES[1]._replace(value=b"{}\n{"), FLUSHES[1]._replace(value=None)
    await projecting.show(ACCESS, FLUSHES[0], lines, nothing)
    live, topic = projecting.live(ACCESS), projecting.topics[ACCESS_TOPIC]
    topic.add(FLUSHES[1:])
    await live.apply(topic.held[0])
    await live.close()
    assert await projecting.rows(ACCESS) == ROWS
    assert projecting.letters.letters == [
        ("access", Malformed(nothing._replace(offset=2), "empty value")),
        (
            "access",
            Malformed(
                lines._replace(offset=1), "can't be applied: MalformedRecordError", unfit=True
            ),
        ),
    ]


async def test_two_workers_with_the_same_records_write_them_once(projecting: Projecting) -> None:
    await projecting.show(ACCESS, FLUSHES[0])
    first, second = projecting.live(ACCESS), projecting.live(ACCESS)
    projecting.topics[ACCESS_TOPIC].add(FLUSHES[1:])
    await first.standings()
    for worker in (second, first):
        await worker.apply(lying(*FLUSHES)[1:])
        await worker.catch_up([0])
        await worker.close()
    assert await projecting.rows(ACCESS) == ROWS


async def test_a_rebuild_gives_what_was_there_and_refuses_a_shorter_topic(
    projecting: Projecting,
) -> None:
    await projecting.show(ACCESS, *FLUSHES)
    before = projecting.store.live(ACCESS)
    await projecting.rebuild(ACCESS)
    assert projecting.store.live(ACCESS) != before
    projecting.topics[ACCESS_TOPIC].remake()
    projecting.topics[ACCESS_TOPIC].add(FLUSHES[:2])
    with pytest.raises(RebuildError, match="holds less than the live read model shows"):
        await projecting.rebuild(ACCESS)
    assert await projecting.rows(ACCESS) == ROWS


def test_a_records_place_is_its_id_and_its_bytes_are_its_source() -> None:
    first, second = (by_offset(raw) for raw in lying(FLUSHES[0], FLUSHES[0]))
    other = by_offset(FLUSHES[1])
    assert not isinstance(first, Malformed)
    assert not isinstance(second, Malformed)
    assert not isinstance(other, Malformed)
    assert [(one.prev, one.event.id) for one in (first, second)] == [(0, 1), (1, 2)]
    assert first.event.source == second.event.source != other.event.source
