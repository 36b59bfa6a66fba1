"""Poison records: they stop nothing, are told once, and are taken after a fix."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from device_ledger.wire.dead_letters import (
    EVERY_READ_MODEL,
    GONE,
    REPLAYED,
    Letters,
    Place,
    settled,
)
from device_ledger.wire.topics import EVENTS
from projections import replaying_letters
from projections.catching_up import Report
from projections.dead_letters import key_of
from projections.guard import KafkaRecord, Malformed, parse
from projections.links.apply import MODEL as LINKS
from projections.lookup.apply import MODEL as LOOKUP
from projections.model import ReadModel
from projections.rebuild import rebuild
from projections.replaying_letters import Replayed, replay_all
from tests.samples import events
from tests.support.crashing import Crash, crash_at
from tests.support.projecting import PARTITIONS, RECORDS, Projecting
from tests.support.read_models import EVENT_MODELS, Dump

UNREADABLE = 7
"""Which of the records nobody can read: one in the middle of its partition."""


def quiet(_: str) -> Report:
    return lambda _read, _total: None


async def replayed(projecting: Projecting, *models: ReadModel) -> Replayed:
    """As ``device-ledger dead-letters replay``, with these versions of the read models."""
    return await replay_all(models, projecting.store, projecting.topics, projecting.letters, quiet)


def scrambled(raw: KafkaRecord) -> KafkaRecord:
    """The record as some version wrote it that today's code can't read."""
    return raw._replace(value=(raw.value or b"")[::-1])


def able(model: ReadModel) -> ReadModel:
    """The read model of a version that can read it."""

    def read(raw: KafkaRecord) -> Any:
        item = parse(raw)
        return parse(scrambled(raw)) if isinstance(item, Malformed) else item

    return replace(model, parse=read)


@pytest.fixture
def scrambled_one(store_url: str, tmp_path: Path) -> Projecting:
    """A topic with one record that can't be read."""
    broken = [scrambled(r) if n == UNREADABLE else r for n, r in enumerate(RECORDS)]
    return Projecting(store_url, tmp_path, broken)


def place_of(raw: KafkaRecord) -> Place:
    return Place(EVENTS, raw.partition, raw.offset)


async def test_a_record_that_can_be_read_after_a_fix_takes_effect_in_its_place(
    scrambled_one: Projecting, expected: Dump
) -> None:
    await scrambled_one.apply([])
    assert await scrambled_one.dump() != expected
    place = place_of(RECORDS[UNREADABLE])
    [letter] = await scrambled_one.letters.read()
    assert (letter.letter.place, letter.letter.read_model) == (place, EVERY_READ_MODEL)
    # Nothing is done, and nothing forgotten, before there is a fix.
    done = await replayed(scrambled_one, *EVENT_MODELS)
    assert done == Replayed(left=[(place, model.name) for model in EVENT_MODELS])
    assert len(await scrambled_one.letters.read()) == 1

    done = await replayed(scrambled_one, *map(able, EVENT_MODELS))
    assert done.taken == [(place, model.name) for model in EVENT_MODELS]
    assert set(done.rebuilt) <= {model.name for model in EVENT_MODELS}
    assert await scrambled_one.dump() == expected
    assert len(await scrambled_one.letters.read()) == 0
    assert await replayed(scrambled_one, *map(able, EVENT_MODELS)) == Replayed()


async def test_a_record_that_one_read_model_could_not_apply_is_replayed_in_that_one(
    store_url: str, tmp_path: Path
) -> None:
    told = [events.linked(1), events.linked(2)]
    del told[1].data["sealedPhrase"]
    projecting = Projecting(store_url, tmp_path, events.on_partitions(told, PARTITIONS))
    await projecting.apply([])
    lacking = {one.letter.read_model for one in await projecting.letters.read()}
    assert lacking == {"links", "lookup"}
    assert len((await replayed(projecting, LOOKUP, LINKS)).left) == 2

    def apply(row: Any, event: Any) -> Any:
        return LOOKUP.apply(row, event._replace(data={"sealedPhrase": "none"} | event.data))

    done = await replayed(projecting, replace(LOOKUP, apply=apply))
    assert (done.rebuilt, len(done.taken)) == (["lookup"], 1)
    assert [row.linked_at for row in await projecting.rows(LOOKUP)] == [events.at(2)]
    assert [one.letter.read_model for one in await projecting.letters.read()] == ["links"]


async def test_what_lies_elsewhere_or_was_replaced_is_settled_as_gone(
    scrambled_one: Projecting, expected: Dump
) -> None:
    await scrambled_one.apply([])
    scrambled_one.topic.remake()
    scrambled_one.topic.add(RECORDS)
    done = await replayed(scrambled_one, *EVENT_MODELS)
    assert (len(done.gone), done.taken, done.left) == (len(EVENT_MODELS), [], [])
    assert len(await scrambled_one.letters.read()) == 0


async def test_a_replay_that_ends_at_any_line_goes_on_and_loses_no_letter(
    tmp_path: Path, expected: Dump
) -> None:
    broken = [scrambled(r) if n == UNREADABLE else r for n, r in enumerate(RECORDS)]
    projecting = Projecting("", tmp_path, broken)
    await projecting.live(LOOKUP).catch_up(range(PARTITIONS))
    lacking, all_rows = await projecting.rows(LOOKUP), whole(expected, "lookup")
    assert lacking != all_rows
    line = crashes = 0
    while True:
        line += 1
        try:
            with crash_at(line, replaying_letters) as at:
                await replayed(projecting, able(LOOKUP))
        except Crash:
            crashes += 1
            # It shows all or what it showed, and the letter is open while it lacks the record.
            rows = await projecting.rows(LOOKUP)
            assert rows in (lacking, all_rows)
            assert rows == all_rows or len(await projecting.letters.read()) == 1
        await replayed(projecting, able(LOOKUP))
        assert await projecting.rows(LOOKUP) == all_rows
        assert len(await projecting.letters.read()) == 0
        if at.crashed_at is None:
            break
        # As it was: a version that can't read it, which tells of it once more.
        await rebuild(
            LOOKUP, projecting.store, projecting.topic, projecting.letters, park_again=True
        )
    assert crashes > 40


def whole(expected: Dump, name: str) -> list[Any]:
    """The rows of a read model that lacks nothing."""
    row = {model.name: model.row for model in EVENT_MODELS}[name]
    return [row(*values) for values in expected[name]]


BAD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a text with a NUL": lambda data: data.update(customerId="a\0b"),
    "a number for a text": lambda data: data.update(bankId=7),
    "a text for a number": lambda data: data.update(keyGeneration="first"),
    "too large a number": lambda data: data.update(keyGeneration=(1 << 64) - 1),
    "a list for a text": lambda data: data.update(registrationId=["a"]),
    "an object for a text": lambda data: data.update(linkedAt={"a": 1}),
}


@pytest.mark.parametrize("spoil", BAD.values(), ids=BAD)
async def test_a_value_that_no_database_takes_stops_nothing(
    projecting: Projecting, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    told = [events.linked(1), events.linked(2), events.linked(3)]
    spoil(told[1].data)
    records = events.on_partitions(told, PARTITIONS)
    # Were the third in its batch, the second's row would never be written.
    for batch in (records[:2], records[2:]):
        projecting.topic.add(batch)
        await projecting.apply(batch)
    letters = list(await projecting.letters.read())
    on_postgres = bool(projecting.settings.read_models_url.get_secret_value())
    if on_postgres:
        assert {one.letter.place for one in letters} == {place_of(records[1])}
    for one in letters:
        assert one.letter.reason.startswith("can't be applied: ")
    # The next one takes effect.
    assert [row.linked_at for row in await projecting.rows(LOOKUP)][-1:] == [events.at(3)]


@pytest.mark.parametrize(
    "changed",
    [
        {"id": str(1 << 70)},
        {"id": "0"},
        {"source": ["a"]},
        {"subject": {"a": 1}},
        {"type": 7},
        {"data": "text"},
        {"time": None},
    ],
)
async def test_a_field_of_another_type_makes_no_event(
    projecting: Projecting, changed: dict[str, Any]
) -> None:
    [record] = events.on_partitions([events.linked(1)], PARTITIONS)
    body = orjson.loads(record.value or b"") | changed
    poison = record._replace(value=orjson.dumps(body))
    [following] = events.on_partitions([events.linked(1)], PARTITIONS)
    projecting.topic.add([poison, following._replace(offset=1)])
    for model in EVENT_MODELS:
        await projecting.live(model).catch_up(range(PARTITIONS))
    [letter] = await projecting.letters.read()
    assert letter.letter.reason == "not a public event: a field of another type"
    assert [row.linked_at for row in await projecting.rows(LOOKUP)] == [events.at(1)]


async def test_a_reason_tells_fields_of_ours_and_nothing_else(projecting: Projecting) -> None:
    def fail(_row: Any, event: Any) -> Any:
        return {}[event.data["customerId"]]

    [record] = events.on_partitions([events.linked(1)], PARTITIONS)
    projecting.topic.add([record])
    model = replace(LOOKUP, apply=fail)
    await projecting.live(model).catch_up(range(PARTITIONS))
    [letter] = await projecting.letters.read()
    assert letter.letter.reason == "can't be applied: KeyError"


def test_letters_are_settled_one_by_one_and_opened_again_by_another() -> None:
    letters = Letters()
    place = Place(EVENTS, 1, 7)
    told = [("dead-letter-read-model", b"*"), ("dead-letter-reason", b"why")]
    sent = [*told, ("dead-letter-coordinates", str(place).encode())]
    letters.take([("prev", b"3"), *sent], b"value", 5)
    letters.take([("prev", b"3"), *sent], b"value", 6)
    letters.take([("prev", b"3")], b"no letter", 6)
    [one] = letters
    assert (one.at, one.concerns("lookup"), one.concerns("links")) == (6, True, True)
    letters.take(settled(place, "lookup", REPLAYED), None, 7)
    assert (len(letters), one.concerns("lookup"), one.concerns("links")) == (1, False, True)
    letters.take(settled(place, "*", GONE), None, 8)
    assert len(letters) == 0
    letters.take(sent, b"value", 9)
    [again] = letters
    assert again.concerns("lookup")


def test_a_record_with_neither_key_nor_value_gets_a_key_to_be_told_by() -> None:
    """Kafka's client refuses to send one without both: the reader would fail for ever."""
    nothing = KafkaRecord(0, 0, None, None, ())
    assert key_of(nothing) == b""
    assert key_of(nothing._replace(value=b"value")) is None
    assert key_of(nothing._replace(key=b"key")) == b"key"
