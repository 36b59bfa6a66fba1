"""Which access records were archived before.

The API sends a record again where it never heard of the first one's arrival. Ids are UUIDv7 and
grow with time, so that what is new lies above all that a file holds, and nothing is read for it.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc

from projections.archive.files import read
from projections.archive.layout import Part, listed, resolved
from projections.archive.reader import BEGINNING, text
from projections.archive.rows import SCHEMA, ArchiveRow

_REF = SCHEMA.names.index("ref")


def repeats(folder: Path, rows: Sequence[ArchiveRow]) -> list[bool]:
    """For each line, whether it lay on the topic before: in the files, or further up here.

    Lines are in the order of the topic. What the files hold from the first one on is no matter:
    where another process archives meanwhile, those are the lines themselves.

    Raises:
        ArchiveBrokenError: a file can't be read.
    """
    # No record is filed under a day before its own.
    since = min((first_made(row)[:10] for row in rows), default="")
    refs = sorted({row.entry.ref for row in rows})
    first = min((row.offset for row in rows), default=0)
    seen: set[str] = set()
    for part in resolved(listed(folder, since))[0]:
        if part.first < first:
            seen |= _found(part, refs, first)
    told = []
    for row in rows:
        told.append(row.entry.ref in seen)
        seen.add(row.entry.ref)
    return told


def first_made(row: ArchiveRow) -> str:
    """The time before which no record with this one's id can have been made: that of the id, a
    UUIDv7, where a repeat tells a later one."""
    try:
        seconds = int(row.entry.ref.replace("-", "")[:12], 16) / 1000
        made = text(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return BEGINNING
    return min(made, row.entry.at)


def _found(part: Part, refs: Sequence[str], before: int) -> set[str]:
    with read(part) as file:
        wanted = [
            number
            for number in range(file.metadata.num_row_groups)
            if _may_hold(file.metadata.row_group(number).column(_REF).statistics, refs)
        ]
        if not wanted:
            return set()
        held = file.read_row_groups(wanted, columns=["ref", "offset"])
        if part.last >= before:
            held = held.filter(pc.less(held.column("offset"), before))
        return set(held.column("ref").to_pylist()).intersection(refs)


def _may_hold(statistics: object, refs: Sequence[str]) -> bool:
    low, high = getattr(statistics, "min", None), getattr(statistics, "max", None)
    if low is None or high is None:
        return True
    at = bisect_left(refs, low)
    return at < len(refs) and refs[at] <= high
