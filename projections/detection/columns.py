"""The columns of the relation ``trail`` and how rule text becomes SQL about them, safely.

Nothing of a rule reaches SQL but through here: a name only as one of these columns, a value only
as a quoted literal.
"""

from datetime import UTC, datetime
from typing import Final

from device_ledger.wire.trail import Entry

COLUMNS: Final = frozenset(Entry._fields)
NUMBERS: Final = frozenset(("seq", "count"))
TIME: Final = "at"
TEXTS: Final = COLUMNS - NUMBERS - {TIME}

LOWER_CASE: Final = frozenset(("log", "type", "outcome", "code", "command", "caller"))
"""Columns that hold our own words, all in lower case: compared without folding what they hold."""


class UnknownFieldError(ValueError):
    """A rule names a field that no entry of the trail has."""


class UnfitValueError(ValueError):
    """A rule holds a value that can't be compared with its field."""


def column(name: str) -> str:
    """The column of that name, quoted.

    Raises:
        UnknownFieldError: there is none.
    """
    if name not in COLUMNS:
        raise UnknownFieldError(f"unknown field {name!r}")
    return f'"{name}"'


def as_text(name: str) -> str:
    """The column as text, for groups and values that are counted.

    Raises:
        UnknownFieldError: there is none.
        UnfitValueError: it is the time.
    """
    if name == TIME:
        raise UnfitValueError("at can't be a group or a counted value")
    return f"CAST({column(name)} AS VARCHAR)" if name in NUMBERS else column(name)


def literal(text: str) -> str:
    """A text as an SQL literal.

    Raises:
        UnfitValueError: it holds a control character.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise UnfitValueError("a value holds a control character")
    return "'" + text.replace("'", "''") + "'"


def moment(at: datetime) -> str:
    """A moment (with its time zone) as an SQL literal of the column ``at``."""
    return f"TIMESTAMP '{at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}'"
