"""The archive's lines, each with what its columns say held against its exact bytes."""

from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from device_ledger.verify.check import DifferenceError, Line
from device_ledger.verify.sources import SourceError
from device_ledger.wire import access
from device_ledger.wire.codec import MalformedRecordError, decode
from device_ledger.wire.trail import EVENTS_LOG, Entry, entry_of_access, entry_of_event
from projections.archive.layout import ArchiveBrokenError, parts_of
from projections.archive.reader import RawLine, read_columns, text

_ENTRY = Entry._fields
# Text that is no UTF-8 and times beyond all years are found where they are read.
_UNREADABLE = (
    ArchiveBrokenError,
    pa.ArrowException,
    OSError,
    KeyError,
    ValueError,
    OverflowError,
)
# A mark that nothing here needs is read so that damage to it shows.
_COLUMNS = (*RawLine._fields, "prev", *(name for name in _ENTRY if name != "seq"), "repeat")
_AT = _COLUMNS.index("at")
_entry = itemgetter(*map(_COLUMNS.index, _ENTRY))
_place = itemgetter(*map(_COLUMNS.index, ("partition", "offset", "idx")))
_RAW = _COLUMNS.index("raw")
_PARTITION = _COLUMNS.index("partition")
_PREV = _COLUMNS.index("prev")


def archived_lines(archive: Path, log: str) -> Iterator[Line]:
    """All lines of a log in the archive, in the order of its tree.

    Raises:
        SourceError: there is no such archive.
        DifferenceError: a file can't be read, or is missing between two.
    """
    try:
        if not parts_of(archive / log):
            raise SourceError(f"there is no archive of the {log} log in {archive}")
        last = dict.fromkeys(parts_of(archive / log), 0)
        places = dict.fromkeys(last, (-1, 0))
        for row in read_columns(archive, log, _COLUMNS):
            entry = Entry._make(_entry(row))._replace(at=text(row[_AT]))
            problem = _problem(log, entry, row[_RAW]) or _out_of_place(places, row)
            if log == EVENTS_LOG:
                problem = problem or _out_of_chain(last, row)
                last[row[_PARTITION]] = entry.seq
            yield Line(entry.ref, row[_RAW], problem)
    except _UNREADABLE as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DifferenceError(f"the archive of the {log} log can't be read: {told}") from None


def _problem(log: str, kept: Entry, raw: bytes) -> str:
    try:
        said = (
            entry_of_event(decode(raw))
            if log == EVENTS_LOG
            else entry_of_access(access.decode(raw))
        )
    except (MalformedRecordError, KeyError, TypeError, AttributeError):
        return "its bytes are no record of the trail"
    if kept == said:
        return ""
    wrong = [name for name in _ENTRY if getattr(kept, name) != getattr(said, name)]
    return f"the column {wrong[0]} is not what its bytes say"


def _out_of_place(places: dict[int, tuple[int, int]], row: tuple[Any, ...]) -> str:
    """The lines of a Kafka record are counted from 0, and offsets only grow."""
    partition, offset, idx = _place(row)
    last, line = places[partition]
    places[partition] = offset, idx
    if idx == (line + 1 if offset == last else 0) and offset >= last:
        return ""
    return f"its place, line {idx} at offset {offset}, is not after that of the one before it"


def _out_of_chain(last: dict[int, int], row: tuple[Any, ...]) -> str:
    before = last[row[_PARTITION]]
    return "" if row[_PREV] == before else f"it follows {row[_PREV]}, and {before} is before it"
