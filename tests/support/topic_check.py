"""Whether the events topic holds just what the event store holds."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from eventsourcing.persistence import Notification

from device_ledger.ledger.ledger import EventStore
from device_ledger.wire.codec import Record, partition_of, public_bytes
from device_ledger.wire.events import EVENT_TYPES

SECTION = 5_000


@dataclass(frozen=True)
class Published:
    """A record as it lies on the topic, with its exact bytes."""

    record: Record
    key: bytes
    value: bytes


def stored_events(events: EventStore) -> list[Notification]:
    """All public events of a store, in the order of their ids."""
    found: list[Notification] = []
    while section := events.store.select_notifications(
        found[-1].id if found else 0, SECTION, topics=EVENT_TYPES, inclusive_of_start=False
    ):
        found += section
    return found


def due(stored: Iterable[Notification], partitions: int) -> dict[int, list[tuple[int, bytes]]]:
    """What each partition is to hold: ids and exact bytes."""
    by_partition: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for one in stored:
        subject = orjson.loads(one.state)["subject"]
        by_partition[partition_of(subject, partitions)].append(
            (one.id, public_bytes(one.id, one.state))
        )
    return dict(by_partition)


def problems(
    stored: Sequence[Notification],
    published: Mapping[int, Sequence[Published]],
    partitions: int,
) -> list[str]:
    """What is wrong on the topic; repeats are dropped as a reader drops them."""
    expected = due(stored, partitions)
    found: list[str] = []
    for partition in range(partitions):
        applied: list[tuple[int, bytes]] = []
        at = 0
        for one in published.get(partition, ()):
            event_id, prev = one.record.event.id, one.record.prev
            if event_id <= at:
                continue
            if prev != at:
                found.append(f"partition {partition}: {event_id} follows {prev}, not {at}")
            applied.append((event_id, one.value))
            at = event_id
        wanted = expected.get(partition, [])
        found += _differences(partition, wanted, applied)
    return found


def _differences(
    partition: int, wanted: list[tuple[int, bytes]], applied: list[tuple[int, bytes]]
) -> list[str]:
    ids, there = [one for one, _ in wanted], [one for one, _ in applied]
    found = [f"partition {partition}: {one} is missing" for one in sorted({*ids} - {*there})]
    found += [f"partition {partition}: {one} is nobody's" for one in sorted({*there} - {*ids})]
    if not found and ids != there:
        found.append(f"partition {partition}: out of order")
    bytes_of = dict(applied)
    found += [
        f"partition {partition}: {one} has other bytes"
        for one, value in wanted
        if one in bytes_of and bytes_of[one] != value
    ]
    return found
