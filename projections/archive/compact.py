"""Joining the small files of a day, so that a day is a few large ones.

The joined file is moved to its place whole; from then on readers take it and not its parts,
which stay a while for those who listed them before. Stopped anywhere, the next round goes on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from projections.archive.files import (
    ROW_GROUP,
    metadata_of,
    read,
    standing_of,
    sync_folder,
    write_part,
)
from projections.archive.layout import Part, listed, part_at, parts_of, resolved

MANY = 10
"""Neighbours of about one size that are worth joining."""
KEPT_SECONDS = 600.0
"""How long readers may still open files of a list that they have made."""
_GROWING = (1_000, 10_000, 100_000)
_WHOLE = (1_000_000,)


def compact(folder: Path, *, today: str, kept_seconds: float = KEPT_SECONDS) -> int:
    """Join what is worth joining below a log's folder; the number of files made.

    Days before ``today`` become as few files as can be.
    """
    made = 0
    for parts in parts_of(folder).values():
        for day, same in groupby(parts, key=lambda part: part.day):
            over = day < today
            made += _join_day(folder, list(same), *((2, _WHOLE) if over else (MANY, _GROWING)))
    _remove_covered(folder, kept_seconds)
    return made


def _join_day(folder: Path, parts: Sequence[Part], many: int, sizes: Sequence[int]) -> int:
    """Join neighbours of less than so many rows, size by size, where there are many of them."""
    if len(parts) < many:
        return 0
    rows = [(part, int(metadata_of(part).num_rows)) for part in parts]
    made = 0
    for size in sizes:
        after: list[tuple[Part, int]] = []
        for small, run in groupby(rows, key=_below(size)):
            same = list(run)
            if small and len(same) >= many:
                made += 1
                whole = _join(folder, [part for part, _ in same])
                same = [(whole, sum(count for _, count in same))]
            after += same
        rows = after
    return made


def _below(size: int) -> Callable[[tuple[Part, int]], bool]:
    return lambda counted: counted[1] < size


def _join(folder: Path, parts: Sequence[Part]) -> Part:
    first, last = parts[0], parts[-1]
    whole = part_at(folder, first.partition, first.first, last.last, first.day)
    write_part(whole, _tables(parts), standing_of(last))
    return whole


def _tables(parts: Sequence[Part]) -> Iterator[Any]:
    """Their rows in row groups of full size, never many in memory."""
    waiting: list[Any] = []
    count = 0
    for part in parts:
        with read(part) as file:
            for batch in file.iter_batches(ROW_GROUP // 5):
                waiting.append(batch)
                count += batch.num_rows
                if count >= ROW_GROUP:
                    yield pa.Table.from_batches(waiting)
                    waiting, count = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)


def _remove_covered(folder: Path, kept_seconds: float) -> None:
    kept, covered = resolved(listed(folder))
    oldest = time.time() - kept_seconds
    changed = set()
    for part in covered:
        larger = next(one for one in kept if one.covers(part))
        if larger.path.stat().st_mtime <= oldest:
            part.path.unlink()
            changed.add(part.path.parent)
    for inner in changed:
        sync_folder(inner)
