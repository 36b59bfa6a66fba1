"""``python -m bench.ticking ARCHIVE ROUNDS RULES``: a detector's rounds over a second's entries
each, beside all of the archive's history.

Prints JSON: the files and lines of history, and what each round took.
"""

import asyncio
import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from device_ledger.wire.trail import EVENTS_LOG, Entry
from projections.archive.layout import LOGS, Part
from projections.archive.reader import files_of, newest, text
from projections.archive.rows import ArchiveRow
from projections.archive.tail import Tail
from projections.detection.engine import open_engine
from projections.detection.rules import load_rules
from projections.detector.detector import MEMORY
from projections.detector.feed import Arrived
from projections.detector.session import GRACE, PAUSE_SECONDS, Session
from projections.detector.state import State
from projections.detector.told import Told
from projections.replay.running import RuleList

ENTRIES: Final = 250
"""Events that come in the second, and as many access records."""


async def ticks(tail: Tail, archive: Path, rules: Path, rounds: int) -> list[dict[str, float]]:
    """Let a second's entries come so many times, and evaluate all rules over each."""
    begin = datetime.fromisoformat(max(newest(archive, log) for log in LOGS)).astimezone(UTC)
    samples = {log: _newest_entries(archive, log) for log in LOGS}
    session = Session(
        tail,
        RuleList(load_rules([rules]), {}),
        tell=_tell_nobody,
        told_since=_told_nothing,
        state=State(passed=dict.fromkeys(LOGS, text(begin)), seen={}, alerts=0),
        told=Told(),
        save=lambda _: None,
    )
    took = []
    for number in range(1, rounds + 1):
        now = begin + timedelta(seconds=number)
        for log, entries in samples.items():
            tail.trail.add(log, _come_again(entries, now, number))
        await asyncio.sleep(PAUSE_SECONDS)
        begun, used = time.perf_counter(), time.process_time()
        await session.take(Arrived({}, text(now), now + GRACE))
        took.append({"seconds": time.perf_counter() - begun, "cpu": time.process_time() - used})
    return took


async def _tell_nobody(*_: object) -> None:
    """The time of producing alerts is the broker's."""


async def _told_nothing(_: datetime) -> Told:
    return Told()


def _newest_entries(archive: Path, log: str) -> list[Entry]:
    """Some of the archive's last lines."""
    last = max(files_of(archive, log), key=lambda part: (part.day, part.partition))
    columns = pq.read_table(last.path, columns=list(Entry._fields), partitioning=None)
    return [Entry(**row) for row in columns.slice(columns.num_rows - ENTRIES).to_pylist()]


def _come_again(entries: list[Entry], now: datetime, number: int) -> list[ArchiveRow]:
    """The same customers and devices once more, as lines of their own."""
    at = text(now)
    rows = []
    for place, entry in enumerate(entries):
        nth = number * ENTRIES + place
        if entry.log == EVENTS_LOG:
            seq = (1 << 40) + nth
            moved = entry._replace(at=at, seq=seq, ref=str(seq))
        else:
            made = f"{int(now.timestamp() * 1000):012x}"
            ref = f"{made[:8]}-{made[8:]}-7000-8000-{nth:012}"
            moved = entry._replace(at=at, ref=ref)
        rows.append(ArchiveRow(0, (1 << 40) + nth, 0, None, moved, b"", 0, ""))
    return rows


def main(archive: str, rounds: str, rules: str) -> None:
    """Evaluate, and tell."""
    folder = Path(archive)
    parts: list[Part] = [part for log in LOGS for part in files_of(folder, log)]
    lines = sum(pq.read_metadata(part.path).num_rows for part in parts)
    told: dict[str, Any] = {"files": len(parts), "lines": lines}
    with (
        tempfile.TemporaryDirectory() as spill,
        open_engine([folder], memory=MEMORY, threads=1, spill=Path(spill)) as engine,
    ):
        tail = Tail(engine, folder)
        told["ticks"] = asyncio.run(ticks(tail, folder, Path(rules), int(rounds)))
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
