"""How often Python looks for garbage in cycles, where objects are made by the million."""

import gc
from typing import Final

_EVERY: Final = 100_000
"""Objects that are made until the young ones are looked at: those of some thousand events."""


def collect_seldom() -> None:
    """For a process that reads events in bulk: call it once, after its imports.

    A batch keeps some hundred thousand objects until it is written. Looked at every 700 of them,
    as is Python's way, they cost more time than all that is done with them; none is in a cycle.
    """
    gc.freeze()
    gc.set_threshold(_EVERY, 10, 10)
