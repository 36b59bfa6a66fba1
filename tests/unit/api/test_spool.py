"""The spool: what was acknowledged is there after any crash, in order, within its bound."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from api import spool as room
from api.spool import FOLDER, Spool, SpoolError, open_spool, values_of
from device_ledger.ledger.stores import StoreRefusedError

ROOM = 1 << 20
VALUES = [b"first", b"", b"the third\nof two lines"]
HEAD = 8
"""Bytes of a frame before its value."""


def appended(home: Path, *values: bytes) -> Spool:
    spool = Spool(home, ROOM)
    for value in values:
        spool.append(value)
    return spool


def drained(spool: Spool) -> list[bytes]:
    """All values, in order; the spool is empty then."""
    found = []
    while (segment := spool.oldest()) is not None:
        found += values_of(segment)
        spool.remove(segment)
    return found


def left(home: Path) -> list[str]:
    """The files of the spool, but for the lock of the whole."""
    files = sorted((home / FOLDER).rglob("*"))
    return [str(one.relative_to(home)) for one in files if one != home / FOLDER / "lock"]


def test_values_come_back_in_order(tmp_path: Path) -> None:
    spool = appended(tmp_path, *VALUES)
    assert spool.size == sum(HEAD + len(value) for value in VALUES)
    assert drained(spool) == VALUES
    assert (spool.size, spool.oldest()) == (0, None)


def test_what_is_appended_while_the_oldest_is_sent_is_kept(tmp_path: Path) -> None:
    spool = appended(tmp_path, b"one")
    segment = spool.oldest()
    assert segment is not None
    spool.append(b"two")
    assert values_of(segment) == [b"one"]
    spool.remove(segment)
    assert drained(spool) == [b"two"]


def test_a_segment_ends_at_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SEGMENT_BYTES", 20)
    spool = appended(tmp_path, b"123456789012", b"2", b"3")
    segment = spool.oldest()
    assert segment is not None
    assert values_of(segment) == [b"123456789012"]
    assert drained(spool) == [b"123456789012", b"2", b"3"]


def test_a_crash_at_any_byte_leaves_out_only_what_was_not_acknowledged(tmp_path: Path) -> None:
    whole = appended(tmp_path / "written", *VALUES)
    segment = whole.oldest()
    assert segment is not None
    content = segment.read_bytes()
    ends = [sum(HEAD + len(value) for value in VALUES[:count]) for count in range(4)]
    for cut in range(len(content) + 1):
        home = tmp_path / str(cut)
        folder = home / FOLDER / "of-an-ended-process"
        folder.mkdir(parents=True)
        (folder / "lock").touch()
        (folder / "00000001").write_bytes(content[:cut])
        acknowledged = [value for value, end in zip(VALUES, ends[1:], strict=True) if end <= cut]
        spool = Spool(home, ROOM)
        assert drained(spool) == acknowledged
        assert left(home) == []


def test_zeros_that_a_power_cut_leaves_at_the_end_are_no_values(tmp_path: Path) -> None:
    spool = appended(tmp_path, *VALUES)
    segment = spool.oldest()
    assert segment is not None
    with segment.open("ab") as file:
        file.write(bytes(4096))
    assert values_of(segment) == VALUES


def test_a_byte_that_changed_ends_a_segment(tmp_path: Path) -> None:
    spool = appended(tmp_path, b"one", b"two", b"three")
    segment = spool.oldest()
    assert segment is not None
    content = bytearray(segment.read_bytes())
    content[-7] ^= 1
    segment.write_bytes(content)
    assert values_of(segment) == [b"one", b"two"]


@pytest.mark.parametrize("files", [[], ["lock"], ["lock", "00000001"], ["00000001"]])
def test_a_crash_before_the_first_value_leaves_nothing(tmp_path: Path, files: list[str]) -> None:
    folder = tmp_path / FOLDER / "of-an-ended-process"
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).touch()
    spool = Spool(tmp_path, ROOM)
    assert drained(spool) == []
    spool.close()
    assert left(tmp_path) == []


def test_two_processes_on_one_home_keep_apart_and_the_next_takes_over(tmp_path: Path) -> None:
    first, second = appended(tmp_path, b"first-1"), appended(tmp_path, b"second-1")
    first.append(b"first-2")
    assert Spool(tmp_path, ROOM).size == 0
    # Whoever ends, however, lets go of the locks.
    first.close()
    third = appended(tmp_path, b"third-1")
    assert drained(second) == [b"second-1"]
    second.close()
    assert drained(third) == [b"first-1", b"first-2", b"third-1"]
    third.close()
    assert left(tmp_path) == []


def test_what_was_taken_over_waits_for_the_next_again(tmp_path: Path) -> None:
    appended(tmp_path, *VALUES).close()
    Spool(tmp_path, ROOM).close()
    assert drained(Spool(tmp_path, ROOM)) == VALUES


def test_it_is_full_at_its_bound_with_what_was_taken_over(tmp_path: Path) -> None:
    appended(tmp_path, b"12345678").close()
    spool = Spool(tmp_path, 48)
    spool.append(b"1234567890123456")
    with pytest.raises(SpoolError, match="full"):
        spool.append(b"1")
    segment = spool.oldest()
    assert segment is not None
    spool.remove(segment)
    spool.append(b"12345678")
    assert drained(spool) == [b"1234567890123456", b"12345678"]


@pytest.mark.parametrize("call", ["open", "write", "fsync"])
def test_a_disk_that_fails_is_told_and_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    spool = appended(tmp_path, b"before")
    assert spool.oldest() is not None

    def fails(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "planted")

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fails)
        for _ in range(2):
            with pytest.raises(SpoolError, match="No space left on device"):
                spool.append(b"lost")
    spool.append(b"after")
    folder, *segments, lock = left(tmp_path)
    assert (lock, len(segments)) == (f"{folder}/lock", 2)
    assert drained(spool) == [b"before", b"after"]


def test_half_a_frame_is_followed_by_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = appended(tmp_path, b"before")
    write = os.write

    def half(descriptor: int, data: memoryview) -> int:
        if len(data) < 10:
            raise OSError(errno.EIO, "planted")
        return write(descriptor, data[: len(data) - 5])

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", half)
        with pytest.raises(SpoolError):
            spool.append(b"lost in the middle")
    spool.append(b"after")
    assert drained(spool) == [b"before", b"after"]


def test_a_spool_that_cannot_be_used_ends_the_process_with_one_line(tmp_path: Path) -> None:
    (tmp_path / FOLDER / "of-an-ended-process").mkdir(parents=True)
    (tmp_path / FOLDER / "lock").mkdir()
    with (
        pytest.raises(StoreRefusedError, match="access-spool can't be used: Is a directory"),
        open_spool(tmp_path, ROOM),
    ):
        pass
