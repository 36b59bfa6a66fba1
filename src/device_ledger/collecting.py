"""When Python looks for garbage in cycles, and through what."""

import gc
from typing import Final

_EVERY: Final = 100_000
"""Objects that are made until the young ones are looked at: those of some thousand events."""


def collect_only_new() -> None:
    """For a process that serves: call it once all that stays is there.

    It is never looked through again. That of the API takes Python a tenth of a second, in which
    nobody is answered.
    """
    gc.freeze()


def collect_seldom() -> None:
    """For a process that reads events in bulk: call it once, after its imports.

    A batch keeps tens of thousands of objects until it is written. Looked at every 700 of them,
    as is Python's way, they cost more time than all that is done with them; none is in a cycle.
    """
    collect_only_new()
    gc.set_threshold(_EVERY, 10, 10)
