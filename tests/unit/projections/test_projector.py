"""The projector: every event takes effect once, however its records come."""

from pathlib import Path

import pytest

from projections.guard import BrokenChainError, KafkaRecord, Malformed
from projections.lookup.apply import MODEL as LOOKUP
from tests.samples import events
from tests.support.projecting import HALF, PARTITIONS, RECORDS, Projecting
from tests.support.read_models import EVENT_MODELS, Dump


async def test_one_by_one_gives_the_same_as_in_bulk(projecting: Projecting, expected: Dump) -> None:
    await projecting.apply([])
    projecting.topic.add(RECORDS)
    readings = projecting.topic.readings
    await projecting.apply(*([record] for record in RECORDS))
    assert await projecting.dump() == expected
    assert projecting.topic.readings == readings


async def test_everything_again_changes_nothing(halfway: Projecting, expected: Dump) -> None:
    await halfway.apply(RECORDS, RECORDS, RECORDS[3:9])
    assert await halfway.dump() == expected


async def test_what_is_missing_is_fetched_first(halfway: Projecting, expected: Dump) -> None:
    last = {record.partition: record for record in RECORDS}
    await halfway.apply(last.values())
    assert await halfway.dump() == expected


async def test_records_in_the_wrong_order_take_effect_in_the_right_one(
    halfway: Projecting, expected: Dump
) -> None:
    await halfway.apply(list(reversed(RECORDS[HALF:])))
    assert await halfway.dump() == expected


async def test_a_topic_that_was_refilled_is_read_from_its_start(
    halfway: Projecting, expected: Dump
) -> None:
    halfway.topic.empty()
    halfway.topic.add(RECORDS)
    await halfway.apply([halfway.topic.held[0][-1]], [halfway.topic.held[1][-1]], RECORDS[-5:])
    for model in EVENT_MODELS:
        await halfway.live(model).catch_up(range(PARTITIONS))
    assert await halfway.dump() == expected


async def test_another_event_at_the_stored_offset_is_noticed(
    halfway: Projecting, expected: Dump
) -> None:
    halfway.topic.remake()
    # The relay sends some events twice now: all offsets are others than before.
    halfway.topic.add(RECORDS[:9] + RECORDS[:9] + RECORDS[9:])
    for model in EVENT_MODELS:
        await halfway.live(model).catch_up(range(PARTITIONS))
    assert await halfway.dump() == expected


async def test_a_read_model_ahead_of_its_topic_shows_what_it_showed(halfway: Projecting) -> None:
    before = await halfway.dump()
    halfway.topic.remake()
    halfway.topic.add(RECORDS[:5])
    for model in EVENT_MODELS:
        await halfway.live(model).catch_up(range(PARTITIONS))
    assert await halfway.dump() == before


async def test_another_history_is_built_from_its_start(halfway: Projecting, tmp_path: Path) -> None:
    told = events.history(5, first_id=2, bank="bank-b")
    others = events.on_partitions(
        [one._replace(source="urn:device-ledger:other:2") for one in told], PARTITIONS
    )
    halfway.topic.remake()
    halfway.topic.add(others)
    last_ids = {}
    for model in EVENT_MODELS:
        projector = halfway.live(model)
        await projector.catch_up(range(PARTITIONS))
        # Ids grow on: sooner or later one passes the position, and no event there follows it.
        last_ids[model.name] = await projector.standings()
        await projector.close()
    later = events.on_partitions(
        [one._replace(source="urn:device-ledger:other:2") for one in told]
        + [
            one._replace(source="urn:device-ledger:other:2")
            for one in events.history(9, first_id=500, bank="bank-c")
        ],
        PARTITIONS,
    )
    halfway.topic.remake()
    halfway.topic.add(later)
    for model in EVENT_MODELS:
        await halfway.live(model).catch_up(range(PARTITIONS))
    fresh = Projecting("", tmp_path / "fresh", later)
    await fresh.apply([])
    assert await halfway.dump() == await fresh.dump()


async def test_a_topic_that_lacks_an_event_stops_the_worker(halfway: Projecting) -> None:
    before = await halfway.dump()
    lost = next(r for r in RECORDS[HALF:] if r.partition == 1)
    halfway.topic.held[1].remove(lost)
    following = next(r for r in RECORDS[HALF:] if r.partition == 1 and r.offset > lost.offset)
    for model in EVENT_MODELS:
        with pytest.raises(BrokenChainError, match="partition 1: the topic lacks what follows"):
            await halfway.live(model).apply([following])
    assert await halfway.dump() == before


async def test_a_malformed_record_is_parked_once_and_passed(
    projecting: Projecting, expected: Dump
) -> None:
    broken = KafkaRecord(1, 0, b"key", b"no event", (("prev", b"0"),))
    projecting.topic.add([*RECORDS[:HALF], broken, *RECORDS[HALF:], broken])
    for model in EVENT_MODELS:
        projector = projecting.live(model)
        for record in (r for held in projecting.topic.held.values() for r in held):
            await projector.apply([record])
        await projector.apply(
            [record for held in projecting.topic.held.values() for record in held]
        )
        await projector.close()
    assert await projecting.dump() == expected
    found = [
        (reader, letter.raw.value, letter.reason) for reader, letter in projecting.letters.letters
    ]
    assert found == [
        (model.name, b"no event", "not a public event: JSONDecodeError")
        for model in EVENT_MODELS
        for _ in range(2)
    ]


async def test_an_event_that_cannot_be_applied_is_parked_and_passed(
    projecting: Projecting,
) -> None:
    told = [events.linked(1), events.linked(2), events.unlinked(3)]
    del told[1].data["sealedPhrase"]
    records = events.on_partitions(told, PARTITIONS)
    await projecting.apply([])
    projecting.topic.add(records)
    await projecting.apply(records[:2])
    reason = "can't be applied: KeyError 'sealedPhrase'"
    assert projecting.letters.letters == [
        (name, Malformed(records[1], reason, unfit=True)) for name in ("lookup", "links")
    ]
    assert [row.linked_at for row in await projecting.rows(LOOKUP)] == [events.at(1)]
    await projecting.apply(records[2:])
    assert await projecting.rows(LOOKUP) == []
