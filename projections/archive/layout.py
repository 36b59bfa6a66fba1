"""Which files the archive is made of.

``HOME/archive/<log>/day=YYYY-MM-DD/p<partition>-<first offset>-<last offset>.parquet``: a file
holds what lay on one partition of the log's topic from the first offset through the last, and the
ranges of a partition follow each other without a gap. A file's day is the recorded day of its
newest line: no line in it is of a later one, and small files of days that are over are joined. The
first range begins at 0, wherever the topic did.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG

LOGS = (EVENTS_LOG, ACCESS_LOG)

_DAY = "day="
_NAME = re.compile(r"p(\d+)-(\d{20})-(\d{20})\.parquet")


class ArchiveBrokenError(RuntimeError):
    """The archive's files do not hold together; the message names one."""


class Part(NamedTuple):
    """A file of the archive; both offsets are among those it holds."""

    partition: int
    first: int
    last: int
    day: str
    path: Path

    def covers(self, other: "Part") -> bool:
        """Whether all that the other may hold is in this one."""
        return self.partition == other.partition and (
            self.first <= other.first and other.last <= self.last and other.day <= self.day
        )


def archive_of(home: Path) -> Path:
    """Where a home's archive is: a folder for each log in it."""
    return home / "archive"


def part_at(folder: Path, partition: int, first: int, last: int, day: str) -> Part:
    """The file of that range and day below a log's folder."""
    name = f"p{partition}-{first:020}-{last:020}.parquet"
    return Part(partition, first, last, day, folder / f"{_DAY}{day}" / name)


def listed(folder: Path, since: str = "") -> list[Part]:
    """All files of these days below a log's folder, also those within a larger one."""
    found = []
    for inner in folder.glob(f"{_DAY}*"):
        day = inner.name[len(_DAY) :]
        for name in _names(inner) if day >= since else ():
            named = _NAME.fullmatch(name)
            if named:
                partition, first, last = map(int, named.groups())
                found.append(Part(partition, first, last, day, inner / name))
    return found


def _names(inner: Path) -> list[str]:
    try:
        return [path.name for path in inner.iterdir()]
    except FileNotFoundError:
        # All that was in it has been joined with other days, and a larger file holds it.
        return []


def resolved(parts: Iterable[Part]) -> tuple[list[Part], list[Part]]:
    """The files to read, in the order of partition and offset; and those within a larger one."""
    kept: list[Part] = []
    covered: list[Part] = []
    for part in sorted(parts, key=lambda part: (part.partition, part.first, -part.last)):
        if kept and kept[-1].covers(part):
            covered.append(part)
        else:
            kept.append(part)
    return kept, covered


def parts_of(folder: Path) -> dict[int, list[Part]]:
    """The files to read of each partition, in order.

    Raises:
        ArchiveBrokenError: a range is missing, at the beginning or between two, or in two of them.
    """
    told = ""
    while True:
        try:
            return _chained(folder)
        except ArchiveBrokenError as error:
            # Two files may have come while folders were listed, and only the second was seen.
            if str(error) == told:
                raise
            told = str(error)


def _chained(folder: Path) -> dict[int, list[Part]]:
    kept, _ = resolved(listed(folder))
    by_partition: dict[int, list[Part]] = defaultdict(list)
    for part in kept:
        before = by_partition[part.partition]
        if part.first != (before[-1].last + 1 if before else 0):
            due = f"follow {before[-1].path.name}" if before else "begin its partition"
            raise ArchiveBrokenError(f"{part.path.relative_to(folder.parent)} doesn't {due}")
        before.append(part)
    return dict(by_partition)
