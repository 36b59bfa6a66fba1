"""Formats of an export: each writes batches of lines to a binary file.

Lines are told under the names of ``wire.trail.Entry``. Nothing that is sealed is in them.
"""

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from device_ledger.wire.alerts import ALERT_RAISED
from device_ledger.wire.trail import Entry
from projections.alerts.apply import AlertRow
from projections.archive.reader import text
from projections.export.ocsf import document_of
from projections.export.ocsf_findings import finding_of
from projections.export.source import SCHEMA

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_AT: Final = Entry._fields.index("at")


class Writer(ABC):
    """Writes one export. ``close`` ends the document and leaves the file open."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def alert(self, alert: AlertRow, evidence: Sequence[Entry]) -> None:  # noqa: B027
        """Begin with an alert, where the format has a place for one; its evidence follows."""

    @abstractmethod
    def lines(self, batch: pa.RecordBatch) -> None:
        """Write lines of the trail."""

    def close(self) -> None:  # noqa: B027
        """Write what ends the document."""


class Ndjson(Writer):
    """A JSON object a line, without the fields that say nothing."""

    def alert(self, alert: AlertRow, evidence: Sequence[Entry]) -> None:  # noqa: ARG002
        """The alert as a line of its own log."""
        told = {name: value for name, value in alert._asdict().items() if value is not None}
        told["group"] = orjson.loads(told.pop("group_values"))
        told["evidence"] = orjson.loads(told["evidence"])
        for name in ("arrived", "kind"):
            del told[name]
        head = {"ref": told.pop("id"), "log": "alerts", "type": ALERT_RAISED}
        self._out.write(orjson.dumps(head | told, option=orjson.OPT_APPEND_NEWLINE))

    def lines(self, batch: pa.RecordBatch) -> None:
        """An object each."""
        for entry in entries_of(batch):
            told = {name: value for name, value in entry._asdict().items() if value is not None}
            self._out.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))


class Csv(Writer):
    """RFC 4180 with a head, in UTF-8, safe to open in a spreadsheet.

    A cell that a spreadsheet would run as a formula begins with an apostrophe, and so does one that
    begins with an apostrophe itself: who reads it by program takes one away where there is one.
    """

    def __init__(self, out: BinaryIO) -> None:
        super().__init__(out)
        self._write([Entry._fields])

    def lines(self, batch: pa.RecordBatch) -> None:
        """A row each."""
        self._write([harmless(value) for value in entry] for entry in entries_of(batch))

    def _write(self, rows: "Iterator[list[object]] | Sequence[Sequence[object]]") -> None:
        buffer = io.StringIO(newline="")
        csv.writer(buffer).writerows(rows)
        self._out.write(buffer.getvalue().encode())


class Parquet(Writer):
    """The archive's columns, without the place and the exact bytes of each line."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__(out)
        self._writer = pq.ParquetWriter(out, SCHEMA, compression="zstd")

    def lines(self, batch: pa.RecordBatch) -> None:
        """A row each."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """The footer."""
        self._writer.close()


class Ocsf(Writer):
    """An OCSF 1.8 event a line (NDJSON)."""

    def alert(self, alert: AlertRow, evidence: Sequence[Entry]) -> None:
        """A Detection Finding."""
        document = finding_of(alert, evidence)
        self._out.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))

    def lines(self, batch: pa.RecordBatch) -> None:
        """An event each."""
        for entry in entries_of(batch):
            self._out.write(orjson.dumps(document_of(entry), option=orjson.OPT_APPEND_NEWLINE))


FORMATS: Final[dict[str, type[Writer]]] = {
    "ndjson": Ndjson,
    "csv": Csv,
    "parquet": Parquet,
    "ocsf": Ocsf,
}


def entries_of(batch: pa.RecordBatch) -> Iterator[Entry]:
    """The lines of a batch."""
    columns = [column.to_pylist() for column in batch.columns]
    columns[_AT] = [text(at) for at in columns[_AT]]
    return map(Entry._make, zip(*columns, strict=True))


def harmless(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
