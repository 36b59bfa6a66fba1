"""Files and live tail are one relation: nothing is missing between them, nothing is there twice."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pytest

from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from projections.archive.layout import LOGS
from projections.archive.models import ACCESS_ARCHIVE, EVENTS_ARCHIVE
from projections.archive.reader import BEGINNING
from projections.archive.store import ArchiveGeneration
from projections.archive.tail import Tail, TailBrokenError
from projections.detection.engine import open_engine
from projections.guard import KafkaRecord
from tests.samples import events
from tests.samples.accesses import flush, looked_up
from tests.support.archiving import EVENTS, HISTORY, feed

END = "9999"
REFS = [str(event.id) for event in HISTORY]


def lying(records: Sequence[KafkaRecord]) -> list[KafkaRecord]:
    """The records with the offsets that they have on a topic of their own."""
    ends = dict.fromkeys(range(3), 0)
    placed = []
    for record in records:
        placed.append(record._replace(offset=ends[record.partition]))
        ends[record.partition] += 1
    return placed


TOPIC = lying(EVENTS)
FLUSHES = lying([flush(looked_up(2 * n), looked_up(2 * n + 1)) for n in range(5)])
LOOKUPS = [looked_up(number).id for number in range(10)]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of the first twenty events and four access records."""
    found = tmp_path / "archive"
    feed(found, EVENTS_ARCHIVE, TOPIC[:20])
    feed(found, ACCESS_ARCHIVE, FLUSHES[:2])
    return found


@pytest.fixture
def engine(tmp_path: Path, archive: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The engine that rules run on."""
    with open_engine([archive], memory="256MB", threads=1, spill=tmp_path / "spill") as opened:
        yield opened


def refs(tail: Tail, since: str = BEGINNING, through: str = END) -> list[str]:
    """All that the trail has, in its order."""
    tail.trail.show(since, through)
    found = tail.trail.connection.execute('SELECT ref FROM trail ORDER BY "at", seq, ref')
    return [ref for (ref,) in found.fetchall()]


def in_order(*logs: Sequence[str]) -> list[str]:
    """The references of events and access records in the order of the trail."""
    times = {str(event.id): (event.time, event.id) for event in HISTORY}
    times |= {looked_up(number).id: (looked_up(number).time, 0) for number in range(10)}
    return sorted((ref for log in logs for ref in log), key=lambda ref: (*times[ref], ref))


def test_the_trail_is_the_files_and_what_came_since(
    engine: duckdb.DuckDBPyConnection, archive: Path
) -> None:
    tail = Tail(engine, archive)
    assert refs(tail) == in_order(REFS[:20], LOOKUPS[:4])
    tail.take({EVENTS_LOG: TOPIC[20:], ACCESS_LOG: FLUSHES[2:]})
    assert refs(tail) == in_order(REFS, LOOKUPS)


def test_what_is_archived_meanwhile_is_not_there_twice(
    engine: duckdb.DuckDBPyConnection, archive: Path
) -> None:
    tail = Tail(engine, archive)
    tail.take({EVENTS_LOG: TOPIC[20:], ACCESS_LOG: FLUSHES[2:]})
    feed(archive, EVENTS_ARCHIVE, TOPIC)
    feed(archive, ACCESS_ARCHIVE, FLUSHES)
    assert refs(tail) == in_order(REFS, LOOKUPS)


def test_what_is_archived_before_it_comes_is_there(
    engine: duckdb.DuckDBPyConnection, archive: Path
) -> None:
    """It lies in files behind where the tail begins, and is no repeat of itself."""
    tail = Tail(engine, archive)
    feed(archive, EVENTS_ARCHIVE, TOPIC)
    feed(archive, ACCESS_ARCHIVE, FLUSHES)
    tail.take({EVENTS_LOG: TOPIC[20:], ACCESS_LOG: FLUSHES[2:]})
    assert refs(tail) == in_order(REFS, LOOKUPS)


@pytest.mark.parametrize("before", [0, 5, 25, 30, 45, 600])
def test_what_is_forgotten_comes_from_the_files(
    engine: duckdb.DuckDBPyConnection, archive: Path, before: int
) -> None:
    tail = Tail(engine, archive)
    tail.take({EVENTS_LOG: TOPIC[20:], ACCESS_LOG: FLUSHES[2:]})
    feed(archive, EVENTS_ARCHIVE, TOPIC[:35])
    feed(archive, ACCESS_ARCHIVE, FLUSHES[:4])
    held = tail.trail.size()
    archived = {
        log: {p: at.next_offset for p, at in ArchiveGeneration(archive / log).standings().items()}
        for log in LOGS
    }
    tail.trail.forget(archived, events.at(before))
    assert (tail.trail.size() < held) == (before > 5)
    assert refs(tail) == in_order(REFS, LOOKUPS)


def test_no_file_is_read_where_memory_has_all_that_is_asked_for(
    engine: duckdb.DuckDBPyConnection, archive: Path
) -> None:
    tail = Tail(engine, archive)
    tail.take({EVENTS_LOG: TOPIC[20:]})
    for file in archive.glob("events/day=*/*.parquet"):
        file.write_bytes(b"nothing")
    assert refs(tail, since=HISTORY[20].time) == REFS[20:]


def test_an_access_record_that_comes_again_is_there_once(
    engine: duckdb.DuckDBPyConnection, archive: Path
) -> None:
    tail = Tail(engine, archive)
    again = [flush(looked_up(1), looked_up(4))._replace(offset=3)]
    first = tail.take({ACCESS_LOG: FLUSHES[2:3]})
    second = tail.take({ACCESS_LOG: again})
    assert [row.entry.ref for row in first] == LOOKUPS[4:6]
    assert second == []
    assert refs(tail) == in_order(REFS[:20], LOOKUPS[:6])


def test_a_bank_sees_its_own_lines_only(engine: duckdb.DuckDBPyConnection, archive: Path) -> None:
    tail = Tail(engine, archive, bank_id="bank-b' OR true --")
    tail.take({EVENTS_LOG: TOPIC[20:]})
    assert refs(tail) == []
    engine.execute("DROP TABLE tail")
    own = Tail(engine, archive, bank_id=events.BANK)
    assert refs(own) == in_order(REFS[:20], LOOKUPS[:4])


def test_a_gap_is_no_trail(engine: duckdb.DuckDBPyConnection, archive: Path) -> None:
    tail = Tail(engine, archive)
    with pytest.raises(TailBrokenError, match="lacks records"):
        tail.take({EVENTS_LOG: TOPIC[25:]})
