"""Writing the archive's files: whole or not at all, on the disk before they are seen."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from device_ledger.durable import DRAFT, sync, write_whole
from projections.archive.layout import ArchiveBrokenError, Part
from projections.archive.rows import SCHEMA
from projections.guard import Standing

ROW_GROUP = 50_000
"""Lines that are compressed together, and skipped together where their times are not asked for."""

_STANDING = b"device-ledger.standing"
# Values that come again and again; identifiers and bytes of their own are not worth a dictionary.
_PLAIN = {"offset", "seq", "prev", "ref", "at", "request_id", "raw"}
_DICTIONARY = [name for name in SCHEMA.names if name not in _PLAIN]


def write_part(part: Part, tables: Iterable[Any], standing: Standing) -> None:
    """Write a file and move it to its place; ``standing`` is the guard's at its last offset."""
    make_folder(part.path.parent)
    draft = part.path.with_name(f".{part.path.name}{DRAFT}")
    told = [standing.last_id, standing.last_offset, standing.source]
    schema = SCHEMA.with_metadata({_STANDING: orjson.dumps(told)})
    with draft.open("wb") as file:
        writer = pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            use_dictionary=_DICTIONARY,
            write_page_checksum=True,
        )
        with writer:
            for table in tables:
                writer.write_table(table.replace_schema_metadata(schema.metadata), ROW_GROUP)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(part.path)
    sync(part.path.parent)


def standing_of(part: Part) -> Standing:
    """Where the guard stood at the file's last offset.

    Raises:
        ArchiveBrokenError: the file can't be read, or is not one of ours.
    """
    told = metadata_of(part).metadata or {}
    if _STANDING not in told:
        raise ArchiveBrokenError(f"{part.path.name} doesn't say where it ends")
    last_id, last_offset, source = orjson.loads(told[_STANDING])
    return Standing(last_id, last_offset, part.last + 1, source)


def metadata_of(part: Part) -> Any:
    """The file's footer.

    Raises:
        ArchiveBrokenError: it can't be read.
    """
    with read(part) as file:
        return file.metadata


def open_part(part: Part) -> pq.ParquetFile:
    """Open a file; what its pages' checksums don't fit fails as it is read.

    Raises:
        ArchiveBrokenError: its columns are not those of an archive.
        ArrowException, OSError: it can't be read.
    """
    file = pq.ParquetFile(part.path, page_checksum_verification=True)
    if not file.schema_arrow.equals(SCHEMA):
        file.close()
        raise ArchiveBrokenError(f"{part.path.name} has other columns than the archive")
    return file


@contextmanager
def read(part: Part) -> Iterator[pq.ParquetFile]:
    """Open a file to read it within.

    Raises:
        ArchiveBrokenError: it can't be read.
    """
    try:
        with open_part(part) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise ArchiveBrokenError(
            f"{part.path.name} can't be read: {type(error).__name__}"
        ) from None


def write_json(path: Path, content: object) -> None:
    """Replace a file by one that holds this as JSON, at once for all readers."""
    write_whole(path, orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS))


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, for good."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync(folder.parent)


def remove_drafts(folder: Path) -> None:
    """Remove what an interrupted writer left below a log's folder."""
    for draft in folder.glob(f"day=*/.*{DRAFT}"):
        draft.unlink(missing_ok=True)
