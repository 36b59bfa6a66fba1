"""The trail for rules and queries: the archive's files and what came since, as one relation.

``trail`` has the columns of `Entry`, times as TIMESTAMP in UTC; no record is in it twice, and none
between the files and the live tail is missing.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from device_ledger.wire.trail import ACCESS_LOG, Entry
from projections.archive.layout import LOGS, Part
from projections.archive.reader import files_of, moment, newest, text
from projections.archive.repeats import first_made, repeats
from projections.archive.rows import ENTRY_FIELDS, ArchiveRow, entry_columns

_COLUMNS = ", ".join(f'"{name}"' for name in Entry._fields)
_SQL_TYPES = {"at": "TIMESTAMP", "seq": "BIGINT", "count": "BIGINT"}
_TABLE = (
    'CREATE TABLE tail (partition INTEGER, "offset" BIGINT, repeat BOOLEAN, '
    + ", ".join(f'"{name}" {_SQL_TYPES.get(name, "VARCHAR")}' for name in Entry._fields)
    + ")"
)
_TAIL_SCHEMA = pa.schema(
    [
        pa.field("partition", pa.int32()),
        pa.field("offset", pa.int64()),
        pa.field("repeat", pa.bool_()),
        *ENTRY_FIELDS,
    ]
)


class Trail:
    """The relation ``trail`` of a DuckDB connection; only what is of one bank, where one is given.

    The files reach up to where the tail of each partition begins; the tail is held in memory.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        archive: Path,
        starts: Mapping[str, Mapping[int, int]],
        *,
        bank_id: str | None = None,
    ) -> None:
        """``starts`` gives for each log and partition the first offset that will be added."""
        self.connection = connection
        self._archive = archive
        self._bank = "" if bank_id is None else f" AND bank_id = {_quoted(bank_id)}"
        self._starts = {log: dict(starts[log]) for log in LOGS}
        # All lines recorded after this are in the tail; of others some are.
        self._held_after = max(newest(archive, log) for log in LOGS)
        connection.execute(_TABLE)

    def add(self, log: str, rows: Sequence[ArchiveRow]) -> list[bool]:
        """Add what came next on a log's topic; for each line, whether it had come before."""
        told = self._repeats(rows) if log == ACCESS_LOG else [False] * len(rows)
        arriving = pa.Table.from_arrays(
            [
                pa.array([row.partition for row in rows], pa.int32()),
                pa.array([row.offset for row in rows], pa.int64()),
                pa.array(told, pa.bool_()),
                *entry_columns([row.entry for row in rows]),
            ],
            schema=_TAIL_SCHEMA,
        )
        self.connection.register("arriving", arriving)
        self.connection.execute("INSERT INTO tail SELECT * FROM arriving")
        self.connection.unregister("arriving")
        return told

    def show(self, since: str, through: str) -> None:
        """Make ``trail`` of all lines recorded from ``since`` to ``through``, and some others.

        Raises:
            ArchiveBrokenError: the files do not hold together.
        """
        sources = [f"SELECT {_COLUMNS} FROM tail WHERE NOT repeat{self._bank}"]
        if not self.holds(since):
            for log in LOGS:
                sources += self._files(log, files_of(self._archive, log, since, through))
        union = " UNION ALL ".join(sources)
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW trail AS {union}")

    def holds(self, since: str) -> bool:
        """Whether memory has all lines recorded from ``since`` on, so that no file is read."""
        return since > self._held_after

    def count(self, after: str, through: str) -> int:
        """The lines of ``trail`` recorded after ``after`` up to ``through``."""
        [lines] = self._one(
            'SELECT count(*) FROM trail WHERE "at" > ? AND "at" <= ?',
            moment(after),
            moment(through),
        )
        return int(lines)

    def which(self, refs: Collection[str]) -> list[tuple[str, str]]:
        """Which of these references ``trail`` has, in its order, and when each was recorded."""
        found = self.connection.execute(
            'SELECT ref, "at" FROM trail WHERE ref IN (SELECT unnest(?)) ORDER BY "at", seq, ref',
            [list(refs)],
        )
        return [(ref, text(at)) for ref, at in found.fetchall()]

    def has_between(self, after: str, through: str, *logs: str) -> bool:
        """Whether these logs may have lines recorded after ``after`` up to ``through``."""
        if after < self._held_after:
            return True
        [found] = self._one(
            'SELECT count(*) FROM (SELECT 1 FROM tail WHERE "at" > ? AND "at" <= ?'
            f" AND log IN ({', '.join(map(_quoted, logs))}) LIMIT 1)",
            moment(after),
            moment(through),
        )
        return bool(found)

    def has_any(self, after: str, through: str, predicates: Sequence[str]) -> bool:
        """Whether ``trail`` may have lines recorded after ``after`` up to ``through`` of which one
        of these (SQL over its columns) is true. No file is read to find out."""
        if after < self._held_after:
            return True
        [found] = self._one(
            'SELECT count(*) FROM (SELECT 1 FROM tail WHERE "at" > ? AND "at" <= ?'
            f" AND ({' OR '.join(f'({one})' for one in predicates)}) LIMIT 1)",
            moment(after),
            moment(through),
        )
        return bool(found)

    def recorded_by(self, log: str, at: str, since: Mapping[int, int]) -> list[tuple[str, str]]:
        """The references of a log's archived lines recorded at or before a time, and when each was,
        of those that lay on its topic from these offsets on."""
        parts = [
            part
            for part in files_of(self._archive, log)
            if since.get(part.partition, 0) <= part.last
        ]
        if not parts:
            return []
        offsets = " OR ".join(
            f'(partition = {partition} AND "offset" >= {offset})'
            for partition, offset in since.items()
        )
        found = self.connection.execute(
            f'SELECT ref, "at" FROM read_parquet([{_paths(parts)}])'
            f' WHERE NOT repeat AND "at" <= ? AND ({offsets or "true"}) ORDER BY ref',
            [moment(at)],
        )
        return [(ref, text(recorded)) for ref, recorded in found.fetchall()]

    def size(self) -> int:
        """Lines in memory."""
        [lines] = self._one("SELECT count(*) FROM tail")
        return int(lines)

    def nth_newest(self, n: int) -> str:
        """The recorded time of the n-th newest line in memory."""
        [at] = self._one(
            'SELECT min("at") FROM (SELECT "at" FROM tail ORDER BY "at" DESC LIMIT ?)', n
        )
        return text(at)

    def forget(self, ends: Mapping[str, Mapping[int, int]], before: str) -> None:
        """Drop from memory what the archive holds, up to these offsets, of before that time."""
        for log, of_partition in ends.items():
            for partition, end in of_partition.items():
                self._forget_partition(log, partition, end, before)

    def _forget_partition(self, log: str, partition: int, end: int, before: str) -> None:
        where = f"log = {_quoted(log)} AND partition = {partition}"
        oldest_kept = f'SELECT min("offset") FROM tail WHERE {where} AND "at" >= ?'
        [kept] = self._one(oldest_kept, moment(before))
        start = end if kept is None else min(end, kept)
        [newest_gone] = self._one(
            f'SELECT max("at") FROM tail WHERE {where} AND "offset" < ?', start
        )
        if newest_gone is not None:
            self.connection.execute(f'DELETE FROM tail WHERE {where} AND "offset" < ?', [start])
            self._starts[log][partition] = start
            self._held_after = max(text(newest_gone), self._held_after)

    def _repeats(self, rows: Sequence[ArchiveRow]) -> list[bool]:
        old = [row for row in rows if first_made(row) <= self._held_after]
        archived = zip(old, repeats(self._archive / ACCESS_LOG, old), strict=True)
        seen = {row.entry.ref for row, repeat in archived if repeat}
        held = self.connection.execute(
            "SELECT ref FROM tail WHERE log = ? AND ref IN (SELECT unnest(?))",
            [ACCESS_LOG, [row.entry.ref for row in rows]],
        )
        seen |= {ref for (ref,) in held.fetchall()}
        told = []
        for row in rows:
            told.append(row.entry.ref in seen)
            seen.add(row.entry.ref)
        return told

    def _one(self, query: str, *values: object) -> tuple[Any, ...]:
        [row] = self.connection.execute(query, values).fetchall()
        return tuple(row)

    def _files(self, log: str, parts: Collection[Part]) -> list[str]:
        starts = self._starts[log]
        below = [part for part in parts if part.last < starts.get(part.partition, 0)]
        across = [part for part in parts if part.first < starts.get(part.partition, 0) <= part.last]
        limits = " OR ".join(
            f'(partition = {part.partition} AND "offset" < {starts[part.partition]})'
            for part in across
        )
        told = [(below, ""), (across, f" AND ({limits})")]
        # Nothing in them is younger: a query of what is opens none of them.
        old = f'"at" <= {_quoted(self._held_after)}::TIMESTAMP'
        return [
            f"SELECT {_COLUMNS} FROM read_parquet([{_paths(parts)}], hive_partitioning = false)"
            f" WHERE {old} AND NOT repeat{limit}{self._bank}"
            for parts, limit in told
            if parts
        ]


def _paths(parts: Collection[Part]) -> str:
    return ", ".join(_quoted(str(part.path.resolve())) for part in parts)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
