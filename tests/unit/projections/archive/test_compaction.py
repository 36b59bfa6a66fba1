"""Small files become large ones; nobody ever sees a line twice, or misses one."""

from dataclasses import replace
from pathlib import Path

import pytest

from device_ledger import durable
from device_ledger.wire.events import PublicEvent
from projections.archive.compact import MANY, compact
from projections.archive.layout import listed, parts_of, resolved
from projections.archive.models import ACCESS_ARCHIVE, EVENTS_ARCHIVE
from projections.archive.reader import files_of, read_raw
from projections.guard import KafkaRecord
from tests.samples import events
from tests.samples.accesses import flush, looked_up
from tests.support.archiving import EVENT_BYTES, EVENTS, Archiving, feed
from tests.support.crashing import Crash, crash_at

from projections.archive import compact as compact_module  # isort: skip
from projections.archive import files, store  # isort: skip

LATER = "2026-02-01"
SAME_DAY = "2026-01-31"


async def fed(tmp_path: Path, pieces: int = len(EVENTS)) -> Archiving:
    archiving = Archiving(tmp_path)
    for record in EVENTS[:pieces]:
        await archiving.take([record])
    return archiving


async def test_a_day_that_is_over_becomes_a_file_a_partition(tmp_path: Path) -> None:
    archiving = await fed(tmp_path)
    before = {partition: len(parts) for partition, parts in parts_of(archiving.folder).items()}
    assert min(before.values()) > 1
    assert compact(archiving.folder, today=LATER) == 3
    assert {p: len(parts) for p, parts in parts_of(archiving.folder).items()} == {0: 1, 1: 1, 2: 1}
    assert archiving.raw() == EVENT_BYTES


DAYS = [
    PublicEvent(n, one.source, one.type, one.subject, f"2026-01-{n:02}T12:00:00.000Z", one.data)
    for n in range(1, MANY + 3)
    for one in [events.linked(n)]
]


async def of_days(tmp_path: Path) -> Archiving:
    """An archive of a line a day, all of one partition, and each in a file."""
    archiving = Archiving(tmp_path)
    records = events.on_partitions(DAYS, 1)
    for record in records:
        await archiving.take([record])
    return archiving


async def test_many_small_days_that_are_over_become_one_file(tmp_path: Path) -> None:
    archiving = await of_days(tmp_path)
    lines = archiving.raw()
    assert len(lines) == len(archiving.files()) == len(DAYS)
    assert compact(archiving.folder, today=DAYS[-1].time[:10], kept_seconds=0) == 1
    assert [(part.first, part.last, part.day) for part in parts_of(archiving.folder)[0]] == [
        (0, MANY, DAYS[-2].time[:10]),
        (MANY + 1, MANY + 1, DAYS[-1].time[:10]),
    ]
    assert archiving.raw() == lines
    assert [day.name for day in sorted(archiving.folder.glob("day=*"))] == [
        f"day={one.time[:10]}" for one in DAYS[-2:]
    ]


async def test_a_few_days_stay_as_they_are(tmp_path: Path) -> None:
    archiving = await of_days(tmp_path)
    assert compact(archiving.folder, today=DAYS[MANY - 1].time[:10], kept_seconds=0) == 0


async def test_each_day_is_found_in_the_file_of_many(tmp_path: Path) -> None:
    archiving = await of_days(tmp_path)
    compact(archiving.folder, today=LATER)
    for one in DAYS:
        asked = files_of(archiving.archive, archiving.log, one.time, one.time)
        assert len(asked) == 1
        assert asked[0].last == MANY + 1


async def test_no_file_takes_more_than_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact_module, "MANY", 2)
    monkeypatch.setattr(compact_module, "_MOST", 5)
    archiving = await of_days(tmp_path)
    lines = archiving.raw()
    compact(archiving.folder, today=LATER, kept_seconds=0)
    sizes = [part.last - part.first + 1 for part in parts_of(archiving.folder)[0]]
    assert sizes == [5, 5, 2]
    assert archiving.raw() == lines


async def test_of_today_only_many_files_are_joined(tmp_path: Path) -> None:
    archiving = await fed(tmp_path, pieces=30)
    few = {p for p, parts in parts_of(archiving.folder).items() if len(parts) < MANY}
    many = set(parts_of(archiving.folder)) - few
    assert few
    assert many
    assert compact(archiving.folder, today=SAME_DAY) == len(many)
    joined = {p for p, parts in parts_of(archiving.folder).items() if len(parts) == 1}
    assert joined == many


async def test_parts_stay_for_readers_who_listed_them_and_go_later(tmp_path: Path) -> None:
    archiving = await fed(tmp_path)
    everything = len(listed(archiving.folder))
    compact(archiving.folder, today=LATER)
    assert len(listed(archiving.folder)) == everything + 3
    compact(archiving.folder, today=LATER, kept_seconds=0)
    assert len(listed(archiving.folder)) == 3
    assert archiving.raw() == EVENT_BYTES


async def test_a_reader_goes_on_in_the_joined_file(tmp_path: Path) -> None:
    archiving = await fed(tmp_path)
    reading = read_raw(archiving.archive, archiving.log)
    first = [next(reading).raw for _ in range(5)]
    compact(archiving.folder, today=LATER, kept_seconds=0)
    assert first + [line.raw for line in reading] == EVENT_BYTES


async def test_the_archive_goes_on_after_a_joined_file(tmp_path: Path) -> None:
    archiving = await fed(tmp_path, pieces=20)
    compact(archiving.folder, today=LATER, kept_seconds=0)
    again = Archiving(tmp_path)
    await again.take(EVENTS)
    assert again.raw() == EVENT_BYTES


def of_day(number: int) -> KafkaRecord:
    """Two lookups; days have two such records each."""
    told = [looked_up(number), looked_up(number + 100)]
    return flush(
        *(replace(one, time=f"2026-01-{number // 2 + 1:02}{one.time[10:]}") for one in told)
    )


ACCESSES = [of_day(number) for number in range(3)]
LINES = [line for record in ACCESSES for line in (record.value or b"").split(b"\n")]


def work(archive: Path) -> None:
    """What a detector does to its archive, from wherever it was stopped."""
    lying = [record._replace(offset=offset) for offset, record in enumerate(ACCESSES)]
    for end in (1, 3):
        feed(archive, ACCESS_ARCHIVE, lying[:end])
    compact(archive / "access", today=LATER, kept_seconds=0)


# pyarrow's writer complains when it is collected after a crash.
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_stopped_at_any_line_it_goes_on_without_loss_or_doubles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step of writing, joining within days and across them, and removing is a line of these
    modules."""
    monkeypatch.setattr(compact_module, "MANY", 2)
    line = 0
    while True:
        line += 1
        archive = tmp_path / str(line)
        crashed = False
        try:
            with crash_at(line, compact_module, files, store, durable):
                work(archive)
        except Crash:
            crashed = True
        if crashed and (archive / "access" / store.MARK).exists():
            seen = [one.raw for one in read_raw(archive, "access")]
            assert seen == LINES[: len(seen)]
        work(archive)
        assert [one.raw for one in read_raw(archive, "access")] == LINES
        assert resolved(listed(archive / "access"))[1] == []
        assert len(listed(archive / "access")) == 1
        assert list((archive / "access").glob("day=*/.*")) == []
        assert len(list((archive / "access").glob("day=*"))) == 1
        assert list(archive.glob("*aside*")) == []
        if not crashed:
            break
    assert line > 100


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_events_stopped_between_files_of_two_partitions_stay_whole(tmp_path: Path) -> None:
    line = 4
    crashed = True
    lying: list[int] = [0, 0, 0]
    records = []
    for record in EVENTS[:12]:
        records.append(record._replace(offset=lying[record.partition]))
        lying[record.partition] += 1
    while crashed:
        line += 9
        archive = tmp_path / str(line)
        try:
            with crash_at(line, files, store, durable):
                feed(archive, EVENTS_ARCHIVE, records)
            crashed = False
        except Crash:
            feed(archive, EVENTS_ARCHIVE, records)
        assert [one.raw for one in read_raw(archive, "events")] == EVENT_BYTES[:12]
    assert line > 50
