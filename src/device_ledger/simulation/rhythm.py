"""When people log in: the hours of the day and the days of the week."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Final

_OF_HOUR: Final = (
    *(0.10, 0.06, 0.04, 0.04, 0.06, 0.15, 0.40, 0.80, 0.95, 0.90, 0.85, 0.85),
    *(0.95, 0.85, 0.75, 0.75, 0.80, 0.90, 1.00, 1.00, 0.95, 0.80, 0.50, 0.25),
)
_OF_DAY: Final = (1.00, 0.96, 0.95, 0.97, 1.00, 0.70, 0.62)


def activity(local: datetime) -> float:
    """How active customers are at their local time, above 0 and at most 1."""
    return _OF_HOUR[local.hour] * _OF_DAY[local.weekday()]


def moments(random: Random, start: datetime, days: int, count: int) -> Iterator[datetime]:
    """``count`` moments in order over ``days`` from ``start``, as dense as people are active."""
    hours = [start + timedelta(hours=hour) for hour in range(24 * days)]
    whole = sum(activity(hour) for hour in hours)
    share, given = 0.0, 0
    for hour in hours:
        share += activity(hour) / whole
        due = count if hour is hours[-1] else round(count * share)
        seconds = sorted(random.random() * 3600 for _ in range(due - given))
        yield from (hour + timedelta(seconds=second) for second in seconds)
        given = due
