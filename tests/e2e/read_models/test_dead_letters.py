"""Poison records on a real Kafka: told once, passed, shown, and replayed by a command."""

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from device_ledger.wire.topics import DEAD_LETTERS, EVENTS
from projections import replaying_letters
from projections.guard import KafkaRecord, Malformed, parse
from projections.model import ReadModel
from tests.support import events_topic
from tests.support.read_models import EVENT_MODELS, Dump, dump_of, end_of
from tests.support.workers import END, HALF, RECORDS, Running

NOISE = KafkaRecord(1, 0, b"key", b"no event", (("prev", b"0"), ("more", b"too")))


async def told(running: Running, *words: str) -> tuple[int, Any]:
    """The exit code of a command, and the JSON that it told."""
    code, output, _ = await asyncio.to_thread(running.run, *words, "--json")
    return code, orjson.loads(output)


def offset_in(records: list[KafkaRecord]) -> int:
    """Which offset the next record of the noise's partition gets."""
    return sum(record.partition == NOISE.partition for record in records)


async def test_what_is_no_event_is_told_once_and_passed(on_sqlite: Running, expected: Dump) -> None:
    await on_sqlite.send([*RECORDS[:HALF], NOISE, *RECORDS[HALF:]])
    assert await on_sqlite.shown(END) == expected
    offset = offset_in(RECORDS[:HALF])
    [letter] = await events_topic.records_of(on_sqlite.servers, DEAD_LETTERS)
    assert (letter.key, letter.value, letter.headers) == (
        NOISE.key,
        NOISE.value,
        (
            *NOISE.headers,
            ("dead-letter-read-model", b"*"),
            ("dead-letter-reason", b"not a public event: JSONDecodeError"),
            ("dead-letter-coordinates", f"{EVENTS}/1/{offset}".encode()),
        ),
    )
    code, shown = await told(on_sqlite, "dead-letters", "list")
    [one] = shown
    assert (code, {name: value for name, value in one.items() if name != "at"}) == (
        0,
        {
            "topic": EVENTS,
            "partition": 1,
            "offset": offset,
            "read_model": "*",
            "reason": "not a public event: JSONDecodeError",
        },
    )
    code, status = await told(on_sqlite, "status")
    assert (code, status["dead_letters"], status["letters"]) == (0, 1, shown)
    # Nothing can read it: it stays, and the command says so.
    code, output, errors = await asyncio.to_thread(on_sqlite.run, "dead-letters", "replay")
    assert (code, output) == (
        1,
        b"Taken now: 0; no longer where they lay: 0; can't be taken: 1.\n",
    )
    assert f"the first of them {EVENTS}/1/{offset} by lookup".encode() in errors
    assert len(await events_topic.records_of(on_sqlite.servers, DEAD_LETTERS)) == 1


async def test_a_record_of_the_largest_size_is_told_too(on_sqlite: Running, expected: Dump) -> None:
    large = NOISE._replace(value=b"x" * ((1 << 20) - 200))
    await on_sqlite.send([*RECORDS[:HALF], large, *RECORDS[HALF:]])
    assert await on_sqlite.shown(END) == expected
    [letter] = await events_topic.records_of(on_sqlite.servers, DEAD_LETTERS)
    assert (letter.value, ("dead-letter-cut", b"") in letter.headers) == (None, True)
    code, [one] = await told(on_sqlite, "dead-letters", "list")
    assert (code, one["offset"]) == (0, offset_in(RECORDS[:HALF]))


def able(model: ReadModel) -> ReadModel:
    """The read model of a version that can read what was scrambled."""

    def read(raw: KafkaRecord) -> Any:
        item = parse(raw)
        turned = raw._replace(value=(raw.value or b"")[::-1])
        return parse(turned) if isinstance(item, Malformed) else item

    return replace(model, parse=read)


async def test_after_a_fix_a_replay_puts_the_record_in_its_place_under_a_live_worker(
    running: Running, expected: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    scrambled = [
        one._replace(value=(one.value or b"")[::-1]) if number == 100 else one
        for number, one in enumerate(RECORDS)
    ]
    await running.send(scrambled[:HALF])
    await running.send(scrambled[HALF:])
    assert await running.shown(END) != expected
    _, [one] = await told(running, "dead-letters", "list")
    assert (one["partition"], one["read_model"]) == (RECORDS[100].partition, "*")

    monkeypatch.setattr(replaying_letters, "MODELS", tuple(map(able, EVENT_MODELS)))
    done = await replaying_letters.replay(running.settings, lambda _: lambda *_: None)
    assert (len(done.taken), done.gone, done.left) == (len(EVENT_MODELS), [], [])
    assert await dump_of(running.settings) == expected
    assert await told(running, "dead-letters", "list") == (0, [])
    _, status = await told(running, "status")
    assert (status["dead_letters"], status["letters"]) == (0, [])
    # Once more there is nothing to do; and the worker goes on with what comes.
    done = await replaying_letters.replay(running.settings, lambda _: lambda *_: None)
    assert done == replaying_letters.Replayed()
    await running.send(RECORDS[-3:])
    assert await running.shown(END) == expected


async def test_a_topic_that_was_filled_anew_settles_its_letters(
    on_sqlite: Running, expected: Dump
) -> None:
    await on_sqlite.send([NOISE, *RECORDS[:HALF]])
    await on_sqlite.shown(end_of(RECORDS[:HALF]))
    await events_topic.empty(on_sqlite.servers, 4)
    await on_sqlite.send(RECORDS)
    assert await on_sqlite.shown(END) == expected
    code, output, _ = await asyncio.to_thread(on_sqlite.run, "dead-letters", "replay")
    assert (code, output) == (
        0,
        b"Taken now: 0; no longer where they lay: 1; can't be taken: 0.\n",
    )
    assert await told(on_sqlite, "dead-letters", "list") == (0, [])
