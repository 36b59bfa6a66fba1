"""The checkers of the fault tests find what they are there to find."""

from dataclasses import replace
from uuid import UUID

import orjson
import pytest
from eventsourcing.persistence import Notification

from device_ledger.wire.codec import decode, partition_of, public_bytes, read_record
from device_ledger.wire.events import PublicEvent
from tests.faults.checking import held_twice
from tests.support.answers_check import Command, answer_problems, row_problems, rows_due
from tests.support.topic_check import Published, problems

PARTITIONS = 2
LINK = Command("r1", "link", "c", "d1", None, 200)


def event(number: int, kind: str, device: str, request: str, **data: str) -> PublicEvent:
    """A stored event, decoded."""
    common = {"requestId": request, "customerId": "c", "bankId": "b", "registrationId": device}
    return PublicEvent(number, "s", kind, device, "t", common | data)


EVENTS = [
    event(1, "device.registered.v1", "d1", "r1", registeredAt="t"),
    event(2, "device.linked.v1", "d1", "r1", linkedAt="t"),
    event(3, "command.refused.v1", "d1", "r2"),
    event(4, "device.login_seen.v1", "d1", "r3", seenAt="2026"),
    event(5, "device.unlinked.v1", "d1", "r4"),
    event(6, "device.deactivated.v1", "d1", "r5", deactivatedAt="t"),
]
COMMANDS = [
    LINK,
    Command("r2", "link", "x", "d1", None, 409),
    Command("r3", "login-seen", "c", "d1", "2026", 200),
    Command("r4", "unlink", "c", "d1", None, 200),
    Command("r5", "deactivate", "c", "d1", None, 200),
    Command("r6", "deactivate", "c", "d1", None, 200),
    Command("r7", "login-seen", "c", "d1", "2025", 200),
]


def test_answers_that_the_store_holds_are_fine() -> None:
    assert answer_problems(COMMANDS, EVENTS) == []


@pytest.mark.parametrize("index", range(5))
def test_a_command_whose_events_are_missing_is_found(index: int) -> None:
    request = COMMANDS[index].request_id
    left = [one for one in EVENTS if one.data["requestId"] != request]
    assert any(one.startswith(request) for one in answer_problems(COMMANDS, left))


@pytest.mark.parametrize("doubled", EVENTS, ids=lambda one: one.type)
def test_an_effect_that_came_twice_is_found(doubled: PublicEvent) -> None:
    found = answer_problems(COMMANDS, [*EVENTS, doubled._replace(id=99)])
    assert len(found) == 1


def test_an_effect_that_nobody_was_answered_for_is_found() -> None:
    assert answer_problems(COMMANDS[1:], EVENTS) == ["r1: nobody was answered"]


def test_a_login_that_is_newer_than_all_that_was_stored_is_found() -> None:
    newer = Command("r8", "login-seen", "c", "d1", "2027", 200)
    assert answer_problems([*COMMANDS, newer], EVENTS) == ["r8: done, but it is nowhere"]


def test_a_device_that_two_customers_had_at_once_is_found() -> None:
    linked, unlinked = EVENTS[1], EVENTS[4]
    another = replace_customer(linked._replace(id=7))
    assert held_twice([linked, unlinked, another]) == []
    assert held_twice([linked, another]) == ["event 7: the device is linked to two customers"]


def replace_customer(linked: PublicEvent) -> PublicEvent:
    """The same of another customer."""
    return linked._replace(data=linked.data | {"customerId": "other"})


STORED = [
    Notification(
        UUID(int=number),
        1,
        "device.unlinked.v1",
        orjson.dumps(
            {"source": "s", "type": "t", "subject": f"d{number % 4}", "time": "t", "data": {}}
        ),
        id=number,
    )
    for number in range(1, 41)
]


def topic() -> dict[int, list[Published]]:
    """The topic as a relay without trouble fills it."""
    found: dict[int, list[Published]] = {number: [] for number in range(PARTITIONS)}
    for one in STORED:
        value = public_bytes(one.id, one.state)
        partition = partition_of(decode(value).subject, PARTITIONS)
        records = found[partition]
        prev = records[-1].record.event.id if records else 0
        headers = [("prev", b"%d" % prev)]
        record = read_record(partition, len(records), headers, value)
        records.append(Published(record, b"", value))
    return found


def test_a_whole_topic_is_fine_with_repeats_too() -> None:
    there = topic()
    repeated = {number: [*found[:8], *found[3:]] for number, found in there.items()}
    assert problems(STORED, there, PARTITIONS) == problems(STORED, repeated, PARTITIONS) == []


@pytest.mark.parametrize("index", [0, 5, -1])
def test_a_missing_record_is_found(index: int) -> None:
    there = topic()
    lost = there[0].pop(index)
    found = problems(STORED, there, PARTITIONS)
    assert f"partition 0: {lost.record.event.id} is missing" in found


def test_swapped_records_are_found() -> None:
    there = topic()
    there[1][4], there[1][5] = there[1][5], there[1][4]
    assert problems(STORED, there, PARTITIONS) != []


def test_a_record_that_the_store_does_not_hold_is_found() -> None:
    assert "partition 0: 40 is nobody's" in problems(STORED[:-1], topic(), PARTITIONS)


def test_other_bytes_are_found() -> None:
    there = topic()
    there[0][3] = replace(there[0][3], value=b"{}")
    assert problems(STORED, there, PARTITIONS) == [
        f"partition 0: {there[0][3].record.event.id} has other bytes"
    ]


def test_rows_that_are_missing_doubled_or_left_over_are_found() -> None:
    due = rows_due(EVENTS[:4])
    assert due["lookup"] == {("d1", "b", "c", "t")}
    shown = {model: sorted(rows) for model, rows in due.items()}
    assert row_problems(due, shown) == []
    assert row_problems(due, shown | {"lookup": []}) == ["lookup: ('d1', 'b', 'c', 't') is missing"]
    assert row_problems(due, shown | {"links": shown["links"] * 2}) == [
        "links: a row is there twice"
    ]
    assert row_problems(due, shown | {"links": [*shown["links"], ("other",)]}) == [
        "links: ('other',) is nobody's"
    ]
    assert rows_due(EVENTS) == {
        "lookup": set(),
        "links": set(),
        "devices": {("d1", "2026", "t")},
        "audit": {(str(one.id), "t", one.type, one.data["requestId"]) for one in EVENTS},
    }
