"""The archive holds every record once, with its exact bytes, in files that say what they hold."""

from datetime import datetime
from pathlib import Path

import pytest

from device_ledger.wire import access
from device_ledger.wire.events import PublicEvent
from device_ledger.wire.trail import ACCESS_LOG
from projections.archive import layout
from projections.archive.layout import ArchiveBrokenError, parts_of
from projections.archive.models import EVENTS_ARCHIVE
from projections.archive.reader import read_raw
from projections.archive.store import ArchiveStore
from projections.store import StoreInUseError
from tests.samples import events
from tests.samples.accesses import flush, looked_up
from tests.support.archiving import EVENT_BYTES, EVENTS, Archiving

NIGHT = ("2026-01-31T23:59:59.000Z", "2026-02-01T00:00:01.000Z")


async def test_every_event_is_there_once_with_its_exact_bytes(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    for start in range(0, len(EVENTS), 7):
        await archiving.take(EVENTS[start : start + 7])
    assert archiving.raw() == EVENT_BYTES


async def test_what_lies_twice_on_the_topic_is_archived_once(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    await archiving.take(EVENTS[:20])
    await archiving.take(EVENTS[10:20])
    await archiving.take(EVENTS[15:])
    assert archiving.raw() == EVENT_BYTES


async def test_another_process_goes_on_where_the_files_end(tmp_path: Path) -> None:
    await Archiving(tmp_path).take(EVENTS[:20])
    again = Archiving(tmp_path)
    await again.take(EVENTS)
    assert again.raw() == EVENT_BYTES
    assert again.letters.letters == []


async def test_a_line_has_the_fields_of_the_trail_and_where_it_lay(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    await archiving.take(events.on_partitions([events.linked(1), events.login_seen(5)], 3))
    [partition] = parts_of(archiving.folder)
    assert {name: archiving.column(name) for name in ("partition", "offset", "idx", "prev")} == {
        "partition": [partition] * 2,
        "offset": [0, 1],
        "idx": [0, 0],
        "prev": [0, 1],
    }
    assert archiving.column("at") == [
        datetime(2026, 1, 31, 9, 30, 1),  # noqa: DTZ001 - a file's times are UTC without a zone
        datetime(2026, 1, 31, 9, 30, 5),  # noqa: DTZ001
    ]
    assert archiving.column("ref") == ["1", "5"]
    assert archiving.column("phrase_token") == ["phrase-token-1", None]


async def test_a_day_begins_a_new_file(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    told = [events.linked(1), events.unlinked(2), events.linked(3)]
    times = (NIGHT[0], NIGHT[1], NIGHT[1])
    made = [
        PublicEvent(one.id, one.source, one.type, one.subject, at, one.data)
        for one, at in zip(told, times, strict=True)
    ]
    await archiving.take(events.on_partitions(made, 3))
    [partition] = parts_of(archiving.folder)
    assert archiving.files() == [
        f"day=2026-01-31/p{partition}-{0:020}-{0:020}.parquet",
        f"day=2026-02-01/p{partition}-{1:020}-{2:020}.parquet",
    ]


async def test_lines_of_two_days_in_one_record_are_filed_under_the_newest(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path, ACCESS_LOG)
    records = [
        access.AccessRecord(one.id, one.source, one.type, one.subject, at, one.data)
        for one, at in zip((looked_up(1), looked_up(2)), NIGHT, strict=True)
    ]
    await archiving.take([flush(*records)])
    assert archiving.files() == [f"day=2026-02-01/p0-{0:020}-{0:020}.parquet"]


async def test_an_access_record_that_comes_again_is_kept_and_marked(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path, ACCESS_LOG)
    first, second, third = looked_up(1), looked_up(2), looked_up(3)
    await archiving.take([flush(first, second)])
    await archiving.take([flush(second, third, third), flush(first)])
    lines = [access.encode(one) for one in (first, second, second, third, third, first)]
    assert archiving.raw() == lines
    assert archiving.column("repeat") == [False, False, True, False, True, True]


async def test_what_is_no_event_is_parked_once_and_passed(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    bad = EVENTS[0]._replace(value=b"no event", partition=0)
    await archiving.take([bad])
    await archiving.take([])
    await archiving.take(EVENTS)
    assert archiving.raw() == EVENT_BYTES
    assert len(archiving.letters.letters) == 1


async def test_a_field_that_fits_no_column_is_parked(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    told = events.linked(1, customerId=5)
    late = PublicEvent(2, told.source, told.type, told.subject, "yesterday", events.linked(2).data)
    good = events.linked(3)
    await archiving.take(events.on_partitions([told, late, good], 3))
    assert archiving.raw() == [events.value_of(good)]
    assert len(archiving.letters.letters) == 2


async def test_where_the_topic_tells_another_history_the_archive_is_put_aside(
    tmp_path: Path,
) -> None:
    archiving = Archiving(tmp_path)
    await archiving.take(EVENTS)
    others = [events.linked(1007), events.unlinked(1009)]
    archiving.topic.remake()
    await archiving.take(events.on_partitions(others, 3))
    assert archiving.raw() == [events.value_of(one) for one in others]
    [aside] = archiving.archive.glob("events.aside-*")
    held = [line.raw for line in read_raw(archiving.archive, aside.name)]
    assert sorted(held) == sorted(EVENT_BYTES)


async def test_where_offsets_began_anew_the_archive_does_too(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    await archiving.take([*EVENTS[:20], *EVENTS[:20], *EVENTS[20:]])
    archiving.topic.remake()
    await archiving.take(EVENTS)
    assert archiving.raw() == EVENT_BYTES
    assert archiving.column("offset") == [
        offset for partition in range(3) for offset in range(archiving.topic.ends[partition])
    ]


async def test_a_topic_that_was_emptied_and_filled_again_changes_nothing(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    await archiving.take(EVENTS[:20])
    archiving.topic.empty()
    await archiving.take(EVENTS)
    assert archiving.raw() == EVENT_BYTES


@pytest.mark.parametrize("damage", ["first gone", "gone", "cut"])
async def test_an_archive_that_lost_a_file_is_written_anew(tmp_path: Path, damage: str) -> None:
    archiving = Archiving(tmp_path)
    for record in EVENTS:
        await archiving.take([record])
    parts = parts_of(archiving.folder)[EVENTS[0].partition]
    if damage.endswith("gone"):
        lost = 0 if damage == "first gone" else 1
        parts[lost].path.unlink()
        with pytest.raises(ArchiveBrokenError, match=parts[lost + 1].path.name):
            parts_of(archiving.folder)
    else:
        parts[-1].path.write_bytes(parts[-1].path.read_bytes()[:-10])
    again = Archiving(tmp_path)
    await again.take(EVENTS)
    assert again.raw() == EVENT_BYTES


async def test_files_that_come_while_they_are_listed_are_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archiving = Archiving(tmp_path)
    for record in EVENTS:
        await archiving.take([record])
    whole = parts_of(archiving.folder)
    every = layout.listed(archiving.folder)
    partition = EVENTS[0].partition
    listings = [[part for part in every if part != whole[partition][n]] for n in (1, 2)]
    monkeypatch.setattr(layout, "listed", lambda _: listings.pop(0) if listings else every)
    assert (parts_of(archiving.folder), listings) == (whole, [])


async def test_a_file_that_can_not_be_read_any_more_is_named(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path, ACCESS_LOG)
    await archiving.take([flush(looked_up(1))])
    await archiving.take([flush(looked_up(2))])
    damaged = parts_of(archiving.folder)[0][0].path
    damaged.write_bytes(damaged.read_bytes()[:-10])
    with pytest.raises(ArchiveBrokenError, match=damaged.name):
        await archiving.take([flush(looked_up(1))])


def test_one_process_writes(tmp_path: Path) -> None:
    store = ArchiveStore(tmp_path / "archive")
    with (
        store.writing(),
        pytest.raises(StoreInUseError, match="another process writes"),
        ArchiveStore(tmp_path / "archive").writing(),
    ):
        pytest.fail("two write")


async def test_what_a_writer_that_was_killed_left_is_removed_by_the_next(tmp_path: Path) -> None:
    archiving = Archiving(tmp_path)
    await archiving.take(EVENTS)
    part = parts_of(archiving.folder)[EVENTS[0].partition][0]
    draft = part.path.with_name(f".{part.path.name}.draft")
    draft.write_bytes(b"half")
    with ArchiveStore(archiving.archive).writing():
        assert not draft.exists()
    assert archiving.raw() == EVENT_BYTES


async def test_an_archive_of_another_format_is_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Archiving(tmp_path).take(EVENTS)
    monkeypatch.setattr("projections.archive.store.FORMAT", "another")
    assert ArchiveStore(tmp_path / "archive").live(EVENTS_ARCHIVE) is None
    again = Archiving(tmp_path)
    await again.take(EVENTS)
    assert again.raw() == EVENT_BYTES
