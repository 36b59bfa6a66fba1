"""Moments as callers write them: RFC 3339 with an offset; kept in UTC with milliseconds."""

import re
from datetime import UTC, datetime
from typing import Final

_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)"
)


def moment(name: str, text: str) -> datetime:
    """The moment of a field, in UTC.

    Raises:
        ValueError: it is none; the message names the field and not its value.
    """
    wrong = ValueError(f"{name} must be a date and time as in RFC 3339, with its offset")
    if _RFC3339.fullmatch(text) is None:
        raise wrong
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong from None


def written(at: datetime) -> str:
    """A moment in UTC as the ledger writes it: ``2026-01-31T09:30:00.000Z``."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
