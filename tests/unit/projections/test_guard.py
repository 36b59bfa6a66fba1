"""The guard: what of a batch takes effect, given where a read model stands."""

from typing import Any

import pytest

from projections.guard import (
    HistoryChangedError,
    KafkaRecord,
    Malformed,
    Sifted,
    Standing,
    parse,
    sift,
)
from tests.samples import events

TOLD = [events.registered(11), events.linked(12), events.unlinked(15)]
FIRST, SECOND, THIRD = events.on_partitions(TOLD, 1)
AFTER_FIRST = Standing(last_id=11, last_offset=0, next_offset=1, source=events.SOURCE)
AFTER_SECOND = Standing(last_id=12, last_offset=1, next_offset=2, source=events.SOURCE)
BROKEN = KafkaRecord(0, 1, b"key", b"{", SECOND.headers)


def sifted(at: Standing, *batch: KafkaRecord, trusted: bool = False) -> Sifted:
    """The batch, sifted by a read model that stands there."""
    return sift({0: at}, batch, trusted=trusted)


def taken(result: Sifted) -> list[KafkaRecord]:
    """The records that take effect."""
    return [raw for raw, _ in result.records]


def test_what_comes_next_is_taken() -> None:
    result = sifted(Standing(), FIRST, SECOND)
    assert (taken(result), result.standings) == ([FIRST, SECOND], {0: AFTER_SECOND})


def test_what_came_already_is_dropped() -> None:
    result = sifted(AFTER_SECOND, FIRST, SECOND)
    assert (taken(result), result.standings) == ([], {0: AFTER_SECOND})


def test_a_repeat_within_a_batch_is_dropped() -> None:
    result = sifted(Standing(), FIRST, SECOND, SECOND, FIRST)
    assert (taken(result), result.standings) == ([FIRST, SECOND], {0: AFTER_SECOND})


def test_what_comes_too_early_is_a_gap_and_so_is_all_after_it() -> None:
    result = sifted(AFTER_FIRST, THIRD, SECOND)
    assert (taken(result), result.gaps, result.standings) == ([], {0}, {0: AFTER_FIRST})


def test_swapped_records_are_a_gap() -> None:
    result = sifted(Standing(), SECOND, FIRST)
    assert (taken(result), result.gaps) == ([], {0})


def test_a_gap_in_one_partition_leaves_the_others() -> None:
    elsewhere = [record._replace(partition=1) for record in (FIRST, SECOND)]
    result = sift({0: Standing(), 1: Standing()}, [SECOND, *elsewhere], trusted=False)
    assert (taken(result), result.gaps) == (elsewhere, {0})


def test_a_malformed_record_is_set_aside_and_looked_at_once() -> None:
    result = sifted(AFTER_FIRST, BROKEN)
    assert result.malformed == [Malformed(BROKEN, "not a public event: JSONDecodeError")]
    assert result.standings == {0: AFTER_FIRST._replace(next_offset=2)}
    assert sifted(result.standings[0], BROKEN).malformed == []


def test_the_stream_does_not_go_on_past_a_malformed_record_of_the_chain() -> None:
    third = THIRD._replace(offset=2)
    result = sifted(AFTER_FIRST, BROKEN, third)
    assert (taken(result), result.gaps) == ([], {0})


def test_a_reading_of_the_topic_goes_on_past_it() -> None:
    third = THIRD._replace(offset=2)
    result = sifted(AFTER_FIRST, BROKEN, third, trusted=True)
    assert (taken(result), result.gaps, result.holes) == ([third], set(), set())


def test_an_event_of_another_epoch_makes_the_stream_look_at_the_topic() -> None:
    later = events.value_of(TOLD[1]._replace(source="urn:device-ledger:other:2"))
    result = sifted(AFTER_FIRST, SECOND._replace(value=later))
    assert (taken(result), result.gaps) == ([], {0})


def test_another_event_with_the_id_of_the_last_one_is_another_history() -> None:
    other = events.value_of(TOLD[0]._replace(source="urn:device-ledger:other:2"))
    with pytest.raises(HistoryChangedError, match="partition 0: event 11"):
        sifted(AFTER_FIRST, FIRST._replace(value=other))


def test_an_old_repeat_from_the_stream_does_not_move_the_offset_back_or_forth() -> None:
    again = FIRST._replace(offset=7)
    assert sifted(AFTER_SECOND, again).standings == {0: AFTER_SECOND}


def test_a_repeat_read_from_the_topic_is_where_the_last_event_lies_now() -> None:
    again = SECOND._replace(offset=7)
    assert sifted(AFTER_SECOND, again, trusted=True).standings == {
        0: AFTER_SECOND._replace(last_offset=7, next_offset=8)
    }


def test_the_last_event_lower_on_the_topic_means_that_it_was_made_anew() -> None:
    at = Standing(last_id=12, last_offset=70, next_offset=90, source=events.SOURCE)
    assert sifted(at, FIRST, SECOND, trusted=True).standings == {0: AFTER_SECOND}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"value": None}, "empty value"),
        ({"headers": ()}, "no header prev"),
        ({"headers": (("prev", b"-1"),)}, "no header prev"),
        ({"value": b"[]"}, "not a public event: TypeError"),
        ({"value": b'{"id": "1"}'}, "not a public event: KeyError"),
    ],
)
def test_what_is_no_event_says_why_without_its_content(change: dict[str, Any], reason: str) -> None:
    raw = FIRST._replace(**change)
    assert parse(raw) == Malformed(raw, reason)
