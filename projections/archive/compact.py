"""Joining small files, so that a day is a few large ones, and quiet days that are over are few.

The joined file is moved to its place whole; from then on readers take it and not its parts,
which stay a while for those who listed them before. Stopped anywhere, the next round goes on.
"""

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from device_ledger.durable import sync
from projections.archive.files import (
    ROW_GROUP,
    metadata_of,
    read,
    standing_of,
    write_part,
)
from projections.archive.layout import Part, listed, part_at, parts_of, resolved

MANY = 10
"""Neighbours of about one size that are worth joining."""
KEPT_SECONDS = 600.0
"""How long readers may still open files of a list that they have made."""
_GROWING = (1_000, 10_000, 100_000)
_WHOLE = (1_000_000,)
_MOST = 1_000_000
"""Rows from which on nothing more is joined to a file."""


def compact(folder: Path, *, today: str, kept_seconds: float = KEPT_SECONDS) -> int:
    """Join what is worth joining below a log's folder; the number of files made.

    Days before ``today`` become as few files as can be, and small files of many of them one.
    """
    made = 0
    for parts in parts_of(folder).values():
        after: list[Part] = []
        for day, run in groupby(parts, key=lambda part: part.day):
            worth = (2, _WHOLE) if day < today else (MANY, _GROWING)
            after += _joined(folder, list(run), *worth)
        ended: list[Part] = []
        for over, run in groupby(after, key=lambda part: part.day < today):
            same = list(run)
            ended += _joined(folder, same, MANY, _GROWING) if over else same
        made += len({*after, *ended} - {*parts})
    _remove_covered(folder, kept_seconds)
    return made


def _joined(folder: Path, parts: list[Part], many: int, sizes: Sequence[int]) -> list[Part]:
    """Join neighbours of less than so many rows, size by size, where there are many of them."""
    for size in sizes:
        if len(parts) < many:
            break
        after: list[Part] = []
        for piece in _pieces(parts, size):
            after += [_join(folder, piece)] if len(piece) >= many else piece
        parts = after
    return parts


def _pieces(parts: Sequence[Part], size: int) -> Iterator[list[Part]]:
    """All parts in their order: small neighbours together, until they are enough for a file."""
    piece: list[Part] = []
    rows = 0
    for part in parts:
        if _rows(part) >= size or rows >= _MOST:
            yield piece
            piece, rows = [], 0
        if _rows(part) >= size:
            yield [part]
        else:
            piece.append(part)
            rows += _rows(part)
    yield piece


# A file never changes, and all of them are looked at again and again.
@lru_cache(maxsize=20_000)
def _rows(part: Part) -> int:
    return int(metadata_of(part).num_rows)


def _join(folder: Path, parts: Sequence[Part]) -> Part:
    first, last = parts[0], parts[-1]
    day = max(part.day for part in parts)
    whole = part_at(folder, first.partition, first.first, last.last, day)
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
        sync(inner)
    _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    """Remove the folders of days whose files were all joined with later ones."""
    empty = [inner for inner in folder.glob("day=*") if not any(inner.iterdir())]
    for inner in empty:
        inner.rmdir()
    if empty:
        sync(folder)
