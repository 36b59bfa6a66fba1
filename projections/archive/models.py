"""The archives as read models: of the events topic, and of the access topic."""

from pathlib import Path

from device_ledger.wire.topics import ACCESS
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from projections.archive.rows import ArchiveRow, rows_of_access, rows_of_event
from projections.guard import by_offset
from projections.model import Appended

EVENTS_ARCHIVE = Appended(
    name="archive-events",
    table=EVENTS_LOG,
    row=ArchiveRow,
    folder=Path(__file__).parent,
    rows_of=rows_of_event,
)
ACCESS_ARCHIVE = Appended(
    name="archive-access",
    table=ACCESS_LOG,
    row=ArchiveRow,
    folder=Path(__file__).parent,
    topic=ACCESS,
    parse=by_offset,
    rows_of=rows_of_access,
)
ARCHIVES = (EVENTS_ARCHIVE, ACCESS_ARCHIVE)
