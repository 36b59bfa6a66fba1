"""The trail of a whole story, as the logs would hold it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from device_ledger.simulation.everyday import Phase
from device_ledger.simulation.scribe import Line, Scribe
from device_ledger.simulation.story import Story

_LINES_OF_A_COMMAND: Final = 1.06
"""Events of an everyday command, about: most are logins, a link registers too."""


def lines_of(story: Story, scribe: Scribe, lookup_share: float) -> Iterator[Line]:
    """Every line in order of time; the story's labels are whole once the last was taken."""
    for call, label in story.calls(lookup_share):
        lines = scribe.write(call)
        yield from lines
        if label is not None and lines:
            label.saw(lines[-1].at, [line.ref for line in lines])


def commands_for(entries: int, lookup_share: float) -> int:
    """How many everyday commands come to about so many entries of the trail."""
    return max(1, int(entries / (_LINES_OF_A_COMMAND + lookup_share)))


def busy_day(
    start: datetime, *, quiet_days: int, quiet_entries: int, entries: int, lookup_share: float
) -> list[Phase]:
    """Months in which a few customers live as ever, then a day on which all are there.

    ``start`` is the first of the quiet days. The regulars are a fiftieth of the others.
    """
    customers = max(50, entries // 10)
    quiet = Phase(
        start, quiet_days, commands_for(quiet_entries, lookup_share), max(1, customers // 50)
    )
    day = start + timedelta(days=quiet_days)
    return [quiet, Phase(day, 1, commands_for(entries, lookup_share), customers)]
