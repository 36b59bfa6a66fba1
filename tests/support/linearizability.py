"""Whether a history of a device's links, unlinks and lookups is that of one register.

Wing and Gong's search (1993) with Lowe's memory of what was seen: is there an order of all
operations, each at some moment between its call and its return, in which each has the result that
it had? An operation whose result nobody knows may have been done at any moment since its call, or
never.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Holder = str | None
"""Who holds a device; nobody is ``None``."""
Kind = Literal["link", "unlink", "lookup"]
UNKNOWN: Final = "unknown"
REFUSED: Final = "refused"
DONE: Final = "done"


@dataclass(frozen=True, slots=True)
class Operation:
    """What was asked of a device, from when to when, and what came of it.

    ``caller`` is who links or unlinks. The result of a lookup is the holder; of the others it is
    ``DONE`` or ``REFUSED``; ``UNKNOWN`` has no end.
    """

    kind: Kind
    caller: str
    called_at: float
    returned_at: float
    result: Any


@dataclass
class History:
    """Records operations by device; moments are numbers that only grow."""

    operations: dict[str, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    _clock: "itertools.count[int]" = field(default_factory=itertools.count)

    def recording(
        self, device: str, kind: Kind, caller: str = ""
    ) -> AbstractContextManager[Callable[[Any], None]]:
        """Record what happens in the block; it calls what it gets with the result.

        Where it doesn't, or raises, the result is unknown.
        """

        @contextmanager
        def recorded() -> Any:
            results: list[Any] = []
            called_at = next(self._clock)
            try:
                yield results.append
            finally:
                at = next(self._clock) if results else math.inf
                result = results[0] if results else UNKNOWN
                self.operations[device].append(Operation(kind, caller, called_at, at, result))

        return recorded()


def effects(holder: Holder, operation: Operation) -> Iterable[Holder]:
    """Who may hold the device after an operation with its result; nobody says so: it can't be."""
    result, caller = operation.result, operation.caller
    if operation.kind == "lookup":
        return [holder] if result in (holder, UNKNOWN) else []
    if operation.kind == "link":
        may, after = holder in (None, caller), caller
    else:
        may, after = holder == caller, None
    if result == UNKNOWN:
        return [after] if may else [holder]
    if result == DONE:
        return [after] if may else []
    return [] if may else [holder]


def is_linearizable(operations: Sequence[Operation], holder: Holder = None) -> bool:
    """Whether some order explains all results, beginning with this holder."""
    ordered = sorted(operations, key=lambda one: one.called_at)
    needed = sum(1 << at for at, one in enumerate(ordered) if one.result != UNKNOWN)
    waiting: list[tuple[int, Holder]] = [(0, holder)]
    seen = set(waiting)
    while waiting:
        done, held = waiting.pop()
        if done & needed == needed:
            return True
        for at in _next(ordered, done):
            for after in effects(held, ordered[at]):
                reached = (done | 1 << at, after)
                if reached not in seen:
                    seen.add(reached)
                    waiting.append(reached)
    return False


def _next(ordered: Sequence[Operation], done: int) -> Iterable[int]:
    """Those that may come next: called before any other that is left has returned."""
    left = [at for at in range(len(ordered)) if not done >> at & 1]
    until = min(ordered[at].returned_at for at in left)
    return [at for at in left if ordered[at].called_at <= until]
