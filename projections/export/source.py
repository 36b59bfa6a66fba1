"""What is exported: the archive's lines and what came since, in the order of the trail."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from device_ledger.wire.trail import Entry
from projections.archive.reader import moment, text
from projections.archive.rows import ENTRY_FIELDS
from projections.archive.tail import Tail, read_on, told_plainly
from projections.detection.engine import open_engine
from projections.export.selection import Selection

SCHEMA: Final = pa.schema(ENTRY_FIELDS)
"""The columns of a batch: the fields of an `Entry`; ``at`` in UTC without a zone."""
BATCH_ROWS: Final = 10_000
MEMORY: Final = "512MB"

_COLUMNS: Final = ", ".join(f'"{name}"' for name in Entry._fields)
_HOUR: Final = timedelta(hours=1)
_FIRST, _LAST = "0001-01-01T00:00:00.000Z", "9999-12-31T00:00:00.000Z"

Report = Callable[[int, int], None]
"""Told the lines exported so far, and how many there are."""


class ExportError(RuntimeError):
    """An export can't be made; the message says why, in one line."""


class Source:
    """An open trail to export from."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail

    async def read_on(self, brokers: str) -> None:
        """Add what the topics have beyond the archive.

        Raises:
            ExportError: Kafka doesn't answer, or tells another history.
        """
        with _told_plainly():
            await read_on(self._tail, brokers)

    def batches(self, selection: Selection, report: Report) -> Iterator[pa.RecordBatch]:
        """The selected lines in the order of ``(at, seq, ref)``, an hour of them sorted at once.

        Raises:
            ExportError: the archive can't be read.
        """
        with _told_plainly():
            since, until = selection.since or _FIRST, selection.until or _LAST
            hours = self._hours(selection, since, until)
            done, total = 0, sum(hours.values())
            report(done, total)
            for hour in hours:
                start, end = max(hour, moment(since)), min(hour + _HOUR, moment(until))
                for batch in self._between(selection, start, end):
                    yield batch
                    done += batch.num_rows
                    report(done, total)

    def _hours(self, selection: Selection, since: str, until: str) -> dict[datetime, int]:
        """How many lines each hour has, of those that have any."""
        self._tail.trail.show(since, until)
        where, values = selection.where()
        found = self._tail.trail.connection.execute(
            "SELECT date_trunc('hour', \"at\") AS hour, count(*) FROM trail"
            f' WHERE "at" >= ? AND "at" < ? AND {where} GROUP BY hour ORDER BY hour',
            [moment(since), moment(until), *values],
        )
        return dict(found.fetchall())

    def _between(
        self, selection: Selection, start: datetime, end: datetime
    ) -> Iterator[pa.RecordBatch]:
        # Listed anew for each hour: the detector joins files meanwhile, and removes the old ones.
        self._tail.trail.show(text(start), text(end))
        where, values = selection.where()
        relation: Any = self._tail.trail.connection.sql(
            f'SELECT {_COLUMNS} FROM trail WHERE "at" >= ? AND "at" < ? AND {where}'
            ' ORDER BY "at", seq, ref',
            params=[start, end, *values],
        )
        for batch in relation.to_arrow_reader(BATCH_ROWS):
            yield batch.cast(SCHEMA)


@contextmanager
def open_source(archive: Path, *, spill: Path, bank_id: str | None = None) -> Iterator[Source]:
    """The trail of an archive; only one bank's, where one is given.

    Raises:
        ExportError: there is no archive, or it can't be read.
    """
    try:
        with open_engine([archive], memory=MEMORY, threads=2, spill=spill) as engine:
            with _told_plainly():
                tail = Tail(engine, archive, bank_id=bank_id)
            yield Source(tail)
    finally:
        shutil.rmtree(spill, ignore_errors=True)


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        with told_plainly(ExportError):
            yield
    except duckdb.Error as error:
        raise ExportError(f"the archive can't be read: {type(error).__name__}") from error
