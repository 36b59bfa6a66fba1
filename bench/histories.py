"""The histories that rules are measured on, made once and kept in the scratch directory."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import orjson

import device_ledger.simulation
from device_ledger.simulation.history import busy_day, lines_of
from device_ledger.simulation.population import Population
from device_ledger.simulation.scribe import Scribe
from device_ledger.simulation.story import Story
from device_ledger.wire.trail import EVENTS_LOG
from projections.archive.files import write_part
from projections.archive.layout import LOGS, Part, part_at
from projections.archive.make import write_archive
from projections.archive.reader import files_of
from projections.archive.rows import SCHEMA
from projections.archive.store import MARK
from projections.guard import Standing

SEED: Final = 1
ENTRIES: Final = 1_000_000
EACH: Final = 10
"""Scenes of each kind of attack, and of each kind that looks like one."""
COPIES: Final = 10
LOOKUPS: Final = 0.4
MERCHANTS: Final = 60
QUIET_DAYS: Final = 120
QUIET_ENTRIES: Final = 120_000
_IDS_OF_A_DAY: Final = 10 * ENTRIES
START: Final = datetime(2026, 1, 5, tzinfo=UTC)
DAY: Final = START + timedelta(days=QUIET_DAYS)


@dataclass(frozen=True)
class Day:
    """An archive whose last day, from ``DAY`` on, is to be replayed; ``labels`` tell of it."""

    archive: Path
    labels: list[dict[str, Any]]


def labelled_day() -> Day:
    """Four quiet months and a day of a million entries, with labelled attacks."""
    folder = _scratch() / f"day-{SEED}-{ENTRIES}-{EACH}-{version()}"
    done = folder / "labels.json"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        labels = _write(folder / "archive")
        done.write_bytes(orjson.dumps(labels))
    return Day(folder / "archive", orjson.loads(done.read_bytes()))


def many_days(day: Day) -> Path:
    """An archive of that day so many times, one after the other, without the exact bytes."""
    folder = day.archive.parent / f"times-{COPIES}"
    done = folder / "done"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        for log in LOGS:
            (folder / log).mkdir(parents=True)
            shutil.copy(day.archive / log / MARK, folder / log / MARK)
            parts = files_of(day.archive, log, since=DAY.date().isoformat())
            for partition in {part.partition for part in parts}:
                _repeat([part for part in parts if part.partition == partition], log, folder / log)
        done.touch()
    return folder


def _scratch() -> Path:
    return Path(tempfile.gettempdir()) / "device-ledger-bench"


def version() -> str:
    """A name for what the simulation makes now: other code makes another history."""
    hashed = hashlib.sha256()
    for file in sorted(Path(device_ledger.simulation.__path__[0]).glob("*.py")):
        hashed.update(file.read_bytes())
    return hashed.hexdigest()[:12]


def _write(archive: Path) -> list[dict[str, Any]]:
    phases = busy_day(
        START,
        quiet_days=QUIET_DAYS,
        quiet_entries=QUIET_ENTRIES,
        entries=ENTRIES,
        lookup_share=LOOKUPS,
    )
    people = Population(SEED, 3, phases[-1].customers, MERCHANTS)
    story = Story(people, phases, EACH)
    with tempfile.TemporaryFile() as access:

        def events() -> Iterator[bytes]:
            for line in lines_of(story, Scribe(SEED), LOOKUPS):
                if line.log == EVENTS_LOG:
                    yield line.value
                else:
                    access.write(line.value + b"\n")
            access.seek(0)

        write_archive(archive, events(), (line.rstrip(b"\n") for line in access))
    return [label.as_json() for label in story.labels]


def _repeat(parts: list[Part], log: str, folder: Path) -> None:
    """The partition's files for each of the days, with references and places of their own."""
    begin = min(part.first for part in parts)
    length = max(part.last for part in parts) + 1 - begin
    ref = "CAST(seq + $ids AS VARCHAR)" if log == EVENTS_LOG else "left(ref, 35) || $copy"
    query = (
        'SELECT * REPLACE ("offset" + $moved AS "offset", prev + $ids AS prev,'
        f' "at" + to_days($copy) AS "at", {ref} AS ref,'
        " CASE seq WHEN 0 THEN 0 ELSE seq + $ids END AS seq, ''::BLOB AS raw)"
        " FROM read_parquet($path, hive_partitioning = false)"
    )
    with duckdb.connect() as connection:
        for copy in range(COPIES):
            day = (DAY + timedelta(days=copy)).date().isoformat()
            for part in parts:
                moved = copy * length - begin
                values = {"path": str(part.path), "copy": copy, "moved": moved}
                values["ids"] = copy * _IDS_OF_A_DAY
                table: Any = connection.sql(query, params=values).to_arrow_table()
                at = part_at(folder, part.partition, part.first + moved, part.last + moved, day)
                last_id = int(table.column("seq")[-1].as_py())
                standing = Standing(last_id, at.last, at.last + 1, "urn:device-ledger:bench")
                write_part(at, [table.cast(SCHEMA)], standing)
