"""Reading the archive: which files, and their exact bytes in the order of the log."""

import heapq
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from device_ledger.wire.trail import EVENTS_LOG
from projections.archive.files import metadata_of, open_part
from projections.archive.layout import ArchiveBrokenError, Part, parts_of
from projections.archive.rows import SCHEMA

BEGINNING = "0001-01-01T00:00:00.000Z"
"""Before any recorded time."""
MOMENT = timedelta(milliseconds=1)
"""The least time between two that the trail tells apart."""

_AT = SCHEMA.names.index("at")
_READ_ROWS = 5_000


class RawLine(NamedTuple):
    """An event's or access record's exact bytes, and where they lay; ``seq`` is the event's id."""

    seq: int
    partition: int
    offset: int
    idx: int
    raw: bytes


_PARTITION = RawLine._fields.index("partition")
_OFFSET = RawLine._fields.index("offset")


def files_of(archive: Path, log: str, since: str = "", through: str = "9999") -> list[Part]:
    """The files that hold a log's lines of these recorded times, and some of others.

    ``since`` and ``through`` are RFC 3339 in UTC, or the beginning of it. No line is in two of the
    files. They stay for some minutes where the archive is written meanwhile: list them anew then.

    Raises:
        ArchiveBrokenError: the files do not hold together.
    """
    parts = [part for same in parts_of(archive / log).values() for part in same]
    return [
        part
        for part in parts
        if part.day >= since[:10] and (part.day <= through[:10] or _begins(part) <= through)
    ]


def read_raw(archive: Path, log: str) -> Iterator[RawLine]:
    """All lines of a log in the order of its Merkle tree: events by id, access records as they lay
    on their topic, repeats included. A few thousand are in memory at a time.

    Raises:
        ArchiveBrokenError: the files do not hold together.
    """
    yield from map(RawLine._make, read_columns(archive, log, RawLine._fields))


def read_columns(archive: Path, log: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The same with other columns; the first of them must be those of `RawLine`.

    Raises:
        ArchiveBrokenError: the files do not hold together.
    """
    folder = archive / log
    streams = [_of_partition(folder, partition, columns) for partition in parts_of(folder)]
    if log == EVENTS_LOG:
        yield from heapq.merge(*streams, key=itemgetter(0, 1, 2))
    else:
        for stream in streams:
            yield from stream


def _of_partition(
    folder: Path, partition: int, columns: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    after = -1
    parts = parts_of(folder)[partition]
    while parts:
        part = parts.pop(0)
        if part.last <= after:
            continue
        try:
            file = open_part(part)
        except FileNotFoundError:
            # It was joined with others since: take the file that holds all of them.
            parts = parts_of(folder)[partition]
            continue
        with file:
            for line in _lines(file, columns):
                if line[_PARTITION] != partition or not part.first <= line[_OFFSET] <= part.last:
                    raise ArchiveBrokenError(f"{part.path.name} holds a line of another range")
                if line[_OFFSET] > after:
                    yield line
        after = part.last


def _lines(file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for batch in file.iter_batches(_READ_ROWS, columns=list(columns)):
        yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def newest(archive: Path, log: str) -> str:
    """The recorded time of the newest line that is archived; of none, a time before any.

    Raises:
        ArchiveBrokenError: the files do not hold together.
    """
    parts = files_of(archive, log)
    last = max((part.day for part in parts), default="")
    return max((_times(part)[1] for part in parts if part.day == last), default=BEGINNING)


def _begins(part: Part) -> str:
    return _times(part)[0]


def _times(part: Part) -> tuple[str, str]:
    """The recorded times of the file's oldest and newest lines."""
    footer = metadata_of(part)
    told = [
        footer.row_group(number).column(_AT).statistics for number in range(footer.num_row_groups)
    ]
    if not told:
        return BEGINNING, BEGINNING
    return text(min(one.min for one in told)), text(max(one.max for one in told))


def text(at: datetime) -> str:
    """A time as the trail tells it; one without a zone, as files and queries give it, is UTC."""
    plain = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return f"{plain.isoformat(timespec='milliseconds')}Z"


def moment(at: str) -> datetime:
    """A time of the trail as files and queries hold it."""
    return datetime.fromisoformat(at).replace(tzinfo=None)
