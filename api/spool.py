"""The spool: access records on disk while Kafka is away.

Each process has a folder of its own below ``HOME/access-spool``, locked while it lives; the next
process that starts takes over those that nobody holds any more. A folder has segments, a segment
has frames, a frame is the value of one Kafka record after its length and CRC-32. A frame counts
once it is fsynced: what a crash leaves of an unfinished one was never acknowledged, and is left
out.
"""

import fcntl
import logging
import os
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import uuid_utils

from device_ledger.durable import sync
from device_ledger.ledger.stores import StoreRefusedError

_log = logging.getLogger(__name__)

FOLDER: Final = "access-spool"
SEGMENT_BYTES: Final = 4 << 20
"""From this size on a segment gets no more frames: what was sent is removed by the segment."""
_HEAD: Final = struct.Struct(">II")
_CHECKED_FROM: Final = 1
"""What the CRC-32 begins with. From 0 it would be 0 for nothing, and the zeros that a power cut may
leave at a file's end would read as empty values."""
_LOCK: Final = "lock"


class SpoolError(Exception):
    """A record can't be kept: the spool is full, or its disk fails."""


class Spool:
    """Values in the order in which they were appended, oldest first; ``bytes_max`` bounds it.

    Used by several threads of one process.
    """

    def __init__(self, home: Path, bytes_max: int) -> None:
        self._all = home / FOLDER
        self._bytes_max = bytes_max
        self._guard = threading.Lock()
        self._locks: dict[Path, int] = {}
        self._own: Path | None = None
        self._open: tuple[Path, int] | None = None
        self._segments: OrderedDict[Path, int] = OrderedDict()
        self._size = 0
        self._made = 0
        self._take_over()

    @property
    def size(self) -> int:
        """Bytes that are kept, with those that were taken over."""
        return self._size

    def append(self, value: bytes) -> None:
        """Keep a value; it is durable when this returns.

        Raises:
            SpoolError: it can't be kept.
        """
        frame = _HEAD.pack(len(value), zlib.crc32(value, _CHECKED_FROM)) + value
        with self._guard:
            if self._size + len(frame) > self._bytes_max:
                raise SpoolError("the spool is full")
            try:
                segment, descriptor = self._open or self._begin()
                _write(descriptor, frame)
            except OSError as error:
                self._give_up()
                raise SpoolError(
                    f"the spool's disk fails: {os.strerror(error.errno or 0)}"
                ) from error
            self._segments[segment] += len(frame)
            self._size += len(frame)
            if self._segments[segment] >= SEGMENT_BYTES:
                self._end()

    def oldest(self) -> Path | None:
        """The oldest segment, to which nothing is appended from now on; none where all is empty."""
        with self._guard:
            segment = next(iter(self._segments), None)
            if self._open is not None and segment == self._open[0]:
                self._end()
            return segment

    def remove(self, segment: Path) -> None:
        """Forget a segment, whose values are kept elsewhere now."""
        with self._guard:
            segment.unlink()
            self._size -= self._segments.pop(segment)
            folder = segment.parent
            if folder != self._own and all(one.parent != folder for one in self._segments):
                self._leave(folder)

    def close(self) -> None:
        """Let go of everything; what is kept waits for the next process."""
        with self._guard:
            self._end()
            for folder in list(self._locks):
                if any(one.parent == folder for one in self._segments):
                    os.close(self._locks.pop(folder))
                else:
                    self._leave(folder)

    def _begin(self) -> tuple[Path, int]:
        """A new segment, durable with its name."""
        if self._own is None:
            self._own = self._make_own()
        self._made += 1
        segment = self._own / f"{self._made:08d}"
        descriptor = os.open(segment, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._open = (segment, descriptor)
        self._segments[segment] = 0
        sync(self._own)
        return self._open

    def _give_up(self) -> None:
        """End a segment that couldn't be written: nothing may follow half a frame."""
        if self._open is not None:
            segment, _ = self._open
            self._end()
            if not self._segments[segment]:
                del self._segments[segment]
                with suppress(OSError):
                    segment.unlink()

    def _end(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def _make_own(self) -> Path:
        _make(self._all)
        # Named by time: folders that are taken over are sent in their order.
        folder = self._all / str(uuid_utils.uuid7())
        with self._alone():
            _make(folder)
            self._locks[folder] = _locked(folder)
        return folder

    def _take_over(self) -> None:
        if not self._all.exists():
            return
        with self._alone():
            for folder in sorted(one for one in self._all.iterdir() if one.is_dir()):
                try:
                    self._locks[folder] = _locked(folder)
                except BlockingIOError:
                    continue
                for segment in sorted(one for one in folder.iterdir() if one.name != _LOCK):
                    self._segments[segment] = segment.stat().st_size
                    self._size += self._segments[segment]
        for folder in set(self._locks) - {segment.parent for segment in self._segments}:
            self._leave(folder)

    def _leave(self, folder: Path) -> None:
        """Remove an empty folder."""
        with self._alone():
            (folder / _LOCK).unlink()
            folder.rmdir()
            os.close(self._locks.pop(folder))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While it runs no other process makes, takes over or removes a folder."""
        lock = os.open(self._all / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


@contextmanager
def open_spool(home: Path, bytes_max: int) -> Iterator[Spool]:
    """The spool of this process.

    Raises:
        StoreRefusedError: what an ended process left there can't be read.
    """
    try:
        spool = Spool(home, bytes_max)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise StoreRefusedError(f"the spool {home / FOLDER} can't be used: {reason}") from error
    try:
        yield spool
    finally:
        spool.close()


def values_of(segment: Path) -> list[bytes]:
    """The values of a segment, in order.

    Raises:
        OSError: it can't be read.
    """
    content = segment.read_bytes()
    found, start = [], 0
    while start + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, start)
        value = content[start + _HEAD.size : start + _HEAD.size + length]
        if len(value) != length or zlib.crc32(value, _CHECKED_FROM) != checksum:
            break
        found.append(value)
        start += _HEAD.size + length
    if start != len(content):
        _log.warning("left out %d bytes of an unfinished write", len(content) - start)
    return found


def _write(descriptor: int, frame: bytes) -> None:
    view = memoryview(frame)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _locked(folder: Path) -> int:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sync(folder.parent)
