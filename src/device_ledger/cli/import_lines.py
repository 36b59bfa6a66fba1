"""The lines of a file to import: read one by one, checked, and made into commands.

CSV (``.csv``, with a header) or NDJSON (any other name), in UTF-8. The columns are the fields
of the commands' bodies, and ``command``; a field of ``deviceInfo`` is the column
``deviceInfo.model`` and so on in CSV, and an object in NDJSON.
"""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO

from device_ledger.cli.errors import CliError
from device_ledger.domain import values

LINK: Final = ("customerId", "deviceId", "phrase")
LOGIN: Final = (
    *("customerId", "deviceId", "seenAt"),
    *("ipAddress", "userAgent", "deviceName", "deviceType", "deviceInfo"),
)
_NEEDED: Final = {"link": LINK, "login-seen": LOGIN[:3]}
_FIELDS: Final = {"link": LINK, "login-seen": LOGIN}
_CHECKED: Final = {
    "customerId": values.customer_id,
    "deviceId": values.device_id,
    "phrase": values.phrase,
}
_INFO = "deviceInfo."
_LINE_LENGTH_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class Line:
    """A line that may be posted: its number in the file from 1, its verb and its body."""

    number: int
    verb: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that may not; the reason never repeats what it holds."""

    number: int
    reason: str


@contextmanager
def opened(file: Path) -> Iterator[tuple[BinaryIO, Iterator[Line | BadLine]]]:
    """The file, for its position, and its lines.

    Raises:
        CliError: it can't be read, or a CSV's header has a column that is not known.
    """
    try:
        raw = file.open("rb")
    except OSError as error:
        raise CliError(f"can't read {file}: {error.strerror}") from None
    # Bytes that are no UTF-8 become surrogates, so that only the lines that have them are refused.
    with io.TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="") as text:
        yield raw, lines(text, is_csv=file.suffix.lower() == ".csv")


def lines(text: TextIO, *, is_csv: bool) -> Iterator[Line | BadLine]:
    """Each line, checked; empty ones are left out.

    Raises:
        CliError: it is no CSV, its header has a column that is not known, or a line is endless.
    """
    for number, row in _csv_rows(text) if is_csv else _ndjson_rows(text):
        if isinstance(row, str):
            yield BadLine(number, row)
            continue
        try:
            yield Line(number, *_command(row))
        except (_BadRowError, values.InvalidValueError) as error:
            yield BadLine(number, str(error))


class _BadRowError(ValueError):
    pass


def _csv_rows(text: TextIO) -> Iterator[tuple[int, dict[str, Any] | str]]:
    reader = csv.DictReader(text, strict=True)
    try:
        unknown = [name for name in reader.fieldnames or () if not _is_known(name)]
        if unknown:
            raise CliError(f"unknown column {', '.join(unknown)} (see `import --help`)")
        for row in reader:
            if None in row or None in row.values():
                yield reader.line_num, "it has more or fewer fields than the header"
            else:
                yield reader.line_num, _unflattened(row)
    except csv.Error as error:
        raise CliError(f"line {reader.line_num + 1} is no CSV: {error}") from None


def _ndjson_rows(text: TextIO) -> Iterator[tuple[int, dict[str, Any] | str]]:
    number = 0
    while line := text.readline(_LINE_LENGTH_MAX):
        number += 1
        if not line.endswith("\n") and len(line) == _LINE_LENGTH_MAX:
            raise CliError(f"line {number} is longer than {_LINE_LENGTH_MAX} characters")
        if line.isspace():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield number, row if isinstance(row, dict) else "it is no JSON object"


def _command(row: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    verb = row.pop("command", "link" if "phrase" in row else "login-seen")
    if verb not in tuple(_FIELDS):
        raise _BadRowError("command must be link or login-seen")
    for name in _NEEDED[verb]:
        if name not in row:
            raise _BadRowError(f"{name} is missing")
    for name, value in row.items():
        if name not in _FIELDS[verb]:
            known = any(name in fields for fields in _FIELDS.values())
            raise _BadRowError(
                f"{name} is no field of {verb}" if known else "it has an unknown field"
            )
        _check(name, value)
    return verb, row


def _check(name: str, value: Any) -> None:
    if name == "deviceInfo":
        if not isinstance(value, dict) or not all(map(_is_text, value.values())):
            raise _BadRowError("deviceInfo must be an object of texts")
    elif not _is_text(value):
        raise _BadRowError(f"{name} must be text in UTF-8")
    elif name in _CHECKED:
        _CHECKED[name](value)
    elif name == "seenAt" and not _is_time(value):
        raise _BadRowError("seenAt must be a time like 2026-01-31T09:30:00Z")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _is_known(column: str) -> bool:
    known = {"command", *LINK, *LOGIN} - {"deviceInfo"}
    return column in known or (column.startswith(_INFO) and column != _INFO)


def _unflattened(row: dict[str, str]) -> dict[str, Any]:
    """The row without its empty cells, and its ``deviceInfo.…`` columns in one object."""
    found: dict[str, Any] = {k: v for k, v in row.items() if v and not k.startswith(_INFO)}
    info = {k.removeprefix(_INFO): v for k, v in row.items() if v and k.startswith(_INFO)}
    return found | ({"deviceInfo": info} if info else {})
