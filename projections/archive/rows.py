"""What a file of the archive holds: lines of the trail, where they lay, and their exact bytes."""

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

import pyarrow as pa

from device_ledger.wire.access import decode, split
from device_ledger.wire.codec import PREV_HEADER
from device_ledger.wire.events import PublicEvent
from device_ledger.wire.trail import Entry, entry_of_access, entry_of_event
from projections.guard import KafkaRecord

MILLISECONDS = pa.timestamp("ms")
_TYPES = {"at": MILLISECONDS, "seq": pa.int64(), "count": pa.int64()}

ENTRY_FIELDS = [pa.field(name, _TYPES.get(name, pa.string())) for name in Entry._fields]
_PLACE = [
    pa.field("partition", pa.int32(), nullable=False),
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("idx", pa.int32(), nullable=False),
]
SCHEMA = pa.schema(
    [
        *_PLACE,
        pa.field("prev", pa.int64()),
        pa.field("repeat", pa.bool_(), nullable=False),
        *ENTRY_FIELDS,
        pa.field("raw", pa.binary(), nullable=False),
    ]
)
"""``idx`` is the line of the Kafka record, ``prev`` the id of the event before it in its partition
(none for access records), ``repeat`` whether the same access record lay on the topic before."""

_numbers = itemgetter(*(n for n, name in enumerate(Entry._fields) if name in {"seq", "count"}))
_texts = itemgetter(*(n for n, name in enumerate(Entry._fields) if name not in {"seq", "count"}))
_NUMBER = {int, type(None)}
_TEXT = {str, type(None)}
_TIME_LENGTH = len("2026-01-31T09:30:00.000Z")


class ArchiveRow(NamedTuple):
    """A line for the archive; ``last_id`` and ``source`` are where the guard stands after it."""

    partition: int
    offset: int
    idx: int
    prev: int | None
    entry: Entry
    raw: bytes
    last_id: int
    source: str


def rows_of_event(raw: KafkaRecord, event: PublicEvent) -> list[ArchiveRow]:
    """The line of an event.

    Raises:
        KeyError: it lacks a field that every event has.
        TypeError, ValueError: a field holds what it can't.
    """
    prev = next(int(content) for name, content in raw.headers if name == PREV_HEADER)
    exact = raw.value or b""
    entry = checked(entry_of_event(event))
    return [ArchiveRow(raw.partition, raw.offset, 0, prev, entry, exact, event.id, event.source)]


def rows_of_access(raw: KafkaRecord, event: PublicEvent) -> list[ArchiveRow]:
    """The lines of a Kafka record of the access topic.

    Raises:
        MalformedRecordError: one of them is no access record.
        KeyError: one lacks a field that every access record has.
        TypeError, ValueError: a field holds what it can't.
    """
    return [
        ArchiveRow(
            raw.partition, raw.offset, n, None, checked(entry_of_access(decode(line))), line,
            event.id, event.source,
        )
        for n, line in enumerate(split(raw.value or b""))
    ]  # fmt: skip


def checked(entry: Entry) -> Entry:
    """The same, where each of its fields fits its column.

    Raises:
        TypeError, ValueError: one does not.
    """
    if set(map(type, _texts(entry))) - _TEXT or set(map(type, _numbers(entry))) - _NUMBER:
        raise TypeError("a field is of another type")
    # Some texts are times to Python and not to Arrow.
    if len(entry.at) != _TIME_LENGTH or not entry.at.endswith("Z"):
        raise ValueError("the time is not in UTC with milliseconds")
    datetime.fromisoformat(entry.at)
    return entry


def entry_columns(entries: Sequence[Entry]) -> list[Any]:
    """The columns of these lines, in the order of `Entry`; times as UTC without a zone."""
    columns = list(zip(*entries, strict=True)) if entries else [()] * len(Entry._fields)
    arrays = []
    for field, values in zip(ENTRY_FIELDS, columns, strict=True):
        if field.name == "at":
            told = pa.array(values, pa.string()).cast(pa.timestamp("ms", tz="UTC"))
            arrays.append(told.cast(MILLISECONDS))
        else:
            arrays.append(pa.array(values, field.type))
    return arrays


def table_of(rows: Sequence[ArchiveRow], repeated: Sequence[bool]) -> Any:
    """The rows as an Arrow table of `SCHEMA`."""
    places = [pa.array([row[n] for row in rows], field.type) for n, field in enumerate(_PLACE)]
    return pa.Table.from_arrays(
        [
            *places,
            pa.array([row.prev for row in rows], pa.int64()),
            pa.array(repeated, pa.bool_()),
            *entry_columns([row.entry for row in rows]),
            pa.array([row.raw for row in rows], pa.binary()),
        ],
        schema=SCHEMA,
    )
