"""What an event, and what a record of accesses, adds to the trail: a row each."""

from pathlib import Path

from device_ledger.wire.access import decode, split
from device_ledger.wire.events import PublicEvent
from device_ledger.wire.topics import ACCESS as ACCESS_TOPIC
from device_ledger.wire.trail import Entry, entry_of_access, entry_of_event
from projections.guard import KafkaRecord, by_offset
from projections.model import Appended


def row_of_event(_: KafkaRecord, event: PublicEvent) -> list[Entry]:
    """The event's row."""
    return [entry_of_event(event)]


def rows_of_accesses(raw: KafkaRecord, _: PublicEvent) -> list[Entry]:
    """A row for each line of the record.

    Raises:
        MalformedRecordError: a line is no access record.
    """
    return [entry_of_access(decode(line)) for line in split(raw.value or b"")]


AUDIT = Appended(
    name="audit",
    table="trail",
    row=Entry,
    folder=Path(__file__).parent,
    rows_of=row_of_event,
)

ACCESS = Appended(
    name="access",
    table="trail",
    row=Entry,
    folder=Path(__file__).parent,
    topic=ACCESS_TOPIC,
    parse=by_offset,
    rows_of=rows_of_accesses,
)
