"""What the Python peers share: who each device is linked to, and the clock.

Runs on a peer's own Python, beside nothing of ours but orjson.
"""

import json
import time
from typing import Any

import orjson

LINKED = "device.linked.v1"
ENDINGS = {"device.unlinked.v1", "device.deactivated.v1", "device.erased.v1"}
KEPT = (
    "bankId",
    "customerId",
    "userId",
    "registrationId",
    "keyGeneration",
    "sealedDeviceId",
    "sealedPhrase",
    "linkedAt",
)
Row = dict[str, Any]


class Fold:
    """Folds events into rows, and counts; its clock runs from the first event to the last."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.events = 0
        self.linked = 0
        self._begun = self._used = 0.0
        self._seconds = self._cpu = 0.0

    @property
    def done(self) -> bool:
        """Whether the last event was folded."""
        return self.events == self.expected

    def fold(self, value: bytes, before: Row | None) -> Row | None:
        """The row of an event's device after it, None without one."""
        if not self.events:
            self._begun, self._used = time.perf_counter(), time.process_time()
        told = orjson.loads(value)
        after = _after(told["type"], told["data"], before)
        self.linked += (after is not None) - (before is not None)
        return after

    def count(self) -> None:
        """An event's row is in the table."""
        self.events += 1
        if self.done:
            self._seconds = time.perf_counter() - self._begun
            self._cpu = time.process_time() - self._used

    def tell(self) -> None:
        """Print JSON on a line of its own: events, seconds, CPU seconds and linked devices."""
        told = {"events": self.events, "seconds": self._seconds, "cpu": self._cpu}
        # A peer may have left codes for the terminal on the line.
        print("\n" + json.dumps(told | {"linked": self.linked}), flush=True)


def _after(kind: str, data: Row, before: Row | None) -> Row | None:
    if kind == LINKED:
        return {name: data[name] for name in KEPT}
    ends = kind in ENDINGS and before is not None
    if ends and (before["bankId"], before["userId"]) == (data["bankId"], data["userId"]):
        return None
    return before
