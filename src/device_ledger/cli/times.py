"""Times as people type them."""

import re
from datetime import UTC, datetime, timedelta

from device_ledger.cli.errors import USAGE, CliError

_AGO = re.compile(r"(\d{1,6})\s*(m|h|d)( ago)?")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

TIMES_HELP = (
    "RFC 3339 (2026-01-31T09:30:00Z), a date (in UTC), now, today, yesterday, or 90m, 24h, 7d for"
    " so long ago"
)


def moment(words: str, now: datetime) -> datetime:
    """The time that is meant, in UTC; a date means its beginning.

    Raises:
        ValueError: none is.
    """
    plain = words.strip().lower()
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    known = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    if plain in known:
        return known[plain].astimezone(UTC)
    if ago := _AGO.fullmatch(plain):
        return now.astimezone(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    found = datetime.fromisoformat(words.strip().upper())
    if found.tzinfo is None:
        if len(words.strip()) > len("2026-01-31"):
            raise ValueError("the time has no zone: end it with Z, or +01:00")
        found = found.replace(tzinfo=UTC)
    return found.astimezone(UTC)


def as_text(at: datetime) -> str:
    """A time as the trail tells it: RFC 3339 in UTC with milliseconds."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def option_moment(option: str, words: str) -> str:
    """The time that an option's words mean, as the trail tells it.

    Raises:
        CliError: they mean none.
    """
    try:
        return as_text(moment(words, datetime.now(UTC)))
    except (ValueError, OverflowError):
        raise CliError(f"{option} is no time; it takes {TIMES_HELP}", USAGE) from None
