"""The archive as a read model: rows and position are the same files.

Each file moves its partition on by the offsets in its name, so that there is no moment at which
rows and position differ. A batch that is cut in the middle stands where its last whole file ends.
"""

import fcntl
import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from device_ledger.durable import sync
from device_ledger.wire.trail import ACCESS_LOG
from projections.archive.files import (
    make_folder,
    remove_drafts,
    standing_of,
    write_json,
    write_part,
)
from projections.archive.layout import LOGS, ArchiveBrokenError, listed, part_at, parts_of
from projections.archive.repeats import repeats
from projections.archive.rows import SCHEMA, ArchiveRow, table_of
from projections.guard import HistoryChangedError, Standing
from projections.model import ReadModel
from projections.store import Generation, GenerationGoneError, StoreInUseError

MARK = "archive.json"
"""The file that makes a folder an archive: its format and the number of its partitions."""

FORMAT = sha256(str(SCHEMA).encode()).hexdigest()[:8]

_NO_DAY = "1970-01-01"
_ONLY = "archive"

log = logging.getLogger(__name__)


class ArchiveTransaction:
    """Rows on their way into files."""

    def __init__(self, folder: Path, standings: Mapping[int, Standing], days: dict[int, str]):
        self._folder = folder
        self._days = days
        self._rows: dict[int, list[ArchiveRow]] = {}
        self._moved: dict[int, Standing] = {}
        self.standings = dict(standings)
        """Where the archive stands, in every partition."""

    def append(self, rows: Sequence[ArchiveRow]) -> None:
        """Add rows, in the order of their partition."""
        for row in rows:
            self._rows.setdefault(row.partition, []).append(row)

    def move(self, standings: Mapping[int, Standing]) -> None:
        """Set where the archive stands.

        Raises:
            HistoryChangedError: offsets began anew, with the topic.
        """
        for partition, at in standings.items():
            if at.next_offset < self.standings[partition].next_offset:
                raise HistoryChangedError(f"partition {partition}: the topic was made anew")
        self._moved |= standings

    def write(self) -> Iterator[tuple[int, Standing]]:
        """Write all files, one after the other; where each leads."""
        for partition, end in sorted(self._moved.items()):
            rows = self._rows.get(partition, [])
            told = (
                repeats(self._folder, rows)
                if self._folder.name == ACCESS_LOG
                else [False] * len(rows)
            )
            first = self.standings[partition].next_offset
            for day, cut, at in self._cuts(partition, rows, end):
                part = part_at(self._folder, partition, first, at.next_offset - 1, day)
                write_part(part, [table_of(rows[cut], told[cut])], at)
                self._days[partition] = day
                yield partition, at
                first = at.next_offset

    def _cuts(
        self, partition: int, rows: Sequence[ArchiveRow], end: Standing
    ) -> Iterator[tuple[str, slice, Standing]]:
        """The days of these rows, the rows of each, and where it leads."""
        days = [
            day
            for _, lines in groupby(rows, key=lambda row: row.offset)
            for day in _days(list(lines))
        ]
        stop = 0
        for day, same in groupby(days):
            start, stop = stop, stop + len(list(same))
            last = rows[stop - 1]
            between = Standing(last.last_id, last.offset, last.offset + 1, last.source)
            yield day, slice(start, stop), end if stop == len(rows) else between
        if not rows and end.next_offset > self.standings[partition].next_offset:
            # Repeats and dead letters only: they were looked at, and are not parked again.
            yield self._days.get(partition, _NO_DAY), slice(0), end


def _days(lines: Sequence[ArchiveRow]) -> list[str]:
    """The day of each line of a Kafka record: that of the newest, for all of them."""
    return [max(line.entry.at for line in lines)[:10]] * len(lines)


class ArchiveGeneration:
    """A log's archive, open for writing."""

    name = _ONLY

    def __init__(self, folder: Path) -> None:
        """Find out where it stands.

        Raises:
            GenerationGoneError: there is none.
            ArchiveBrokenError: its files do not hold together.
        """
        mark = mark_of(folder)
        if mark is None:
            raise GenerationGoneError(folder.name)
        self._folder = folder
        self._days: dict[int, str] = {}
        self._standings = dict.fromkeys(range(mark["partitions"]), Standing())
        for partition, parts in parts_of(folder).items():
            self._standings[partition] = standing_of(parts[-1])
            self._days[partition] = parts[-1].day

    @contextmanager
    def transaction(self, partitions: Collection[int]) -> Iterator[Any]:  # noqa: ARG002
        """Add rows and move on: file by file, each with its rows and its position at once.

        Raises:
            GenerationGoneError: it was put aside; nothing is changed.
            HistoryChangedError: the topic was made anew.
            OSError: a file can't be written; those before it stand.
        """
        if mark_of(self._folder) is None:
            raise GenerationGoneError(self._folder.name)
        transaction = ArchiveTransaction(self._folder, self._standings, self._days)
        yield transaction
        for partition, at in transaction.write():
            self._standings[partition] = at

    def standings(self) -> dict[int, Standing]:
        """Where it stands, by partition."""
        return dict(self._standings)

    def close(self) -> None:
        """Nothing is held open."""


class ArchiveStore:
    """An archive: a folder for each log."""

    retriable: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, archive: Path) -> None:
        self._root = archive

    def live(self, model: ReadModel) -> str | None:
        """Its only name, where there is one of today's format whose files hold together."""
        folder = self._folder(model)
        mark = mark_of(folder)
        if mark is None or mark["format"] != FORMAT:
            return None
        try:
            ArchiveGeneration(folder)
        except ArchiveBrokenError as error:
            log.warning("the archive is written anew: %s", error)
            return None
        return _ONLY

    def create(self, model: ReadModel, partitions: int) -> str:
        """Make an empty archive; what is there is put aside, and never deleted."""
        folder = self._folder(model)
        self._put_aside(folder)
        make_folder(folder)
        write_json(folder / MARK, {"format": FORMAT, "partitions": partitions})
        return _ONLY

    def open(self, model: ReadModel, generation: str, *, live: bool) -> Generation:  # noqa: ARG002
        """Open it."""
        return ArchiveGeneration(self._folder(model))

    def point(self, model: ReadModel, generation: str | None) -> None:
        """It is live as it is; ``None`` puts it aside."""
        if generation is None:
            self._put_aside(self._folder(model))

    def remove_others(self, model: ReadModel) -> None:
        """Remove what interrupted writers left."""
        remove_drafts(self._folder(model))

    @contextmanager
    def building(self, model: ReadModel) -> Iterator[None]:  # noqa: ARG002
        """Whoever may write may begin anew."""
        yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to write the archive.

        Raises:
            StoreInUseError: another process does.
        """
        make_folder(self._root)
        with (self._root / "writing.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreInUseError(f"another process writes {self._root}") from None
            for name in LOGS:
                remove_drafts(self._root / name)
            yield

    def _folder(self, model: ReadModel) -> Path:
        return self._root / model.table

    def _put_aside(self, folder: Path) -> None:
        # One that was only begun holds nothing to keep.
        if mark_of(folder) is not None or listed(folder):
            folder.rename(folder.with_name(f"{folder.name}.aside-{time.time_ns():x}"))
            sync(folder.parent)


def mark_of(folder: Path) -> dict[str, Any] | None:
    """What the folder says of itself; ``None`` where it is no archive."""
    try:
        found: dict[str, Any] = orjson.loads((folder / MARK).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return found
