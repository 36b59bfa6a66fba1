"""Rate limits: how much each caller may ask for a minute, counted in this process.

The generic cell rate algorithm keeps one number a caller: the time at which the quota is whole
again. Headers follow draft-ietf-httpapi-ratelimit-headers-10. With several API processes each
counts for itself.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from api.errors import Refusal

WINDOW_SECONDS: Final = 60
CALLERS_KEPT_MAX: Final = 100_000
FEW_UNKNOWN: Final = 5
"""Unknown devices a minute that each merchant may ask for where all together have asked for too
many: who asks for known ones goes on."""
_ALL: Final = ""


class Standing(NamedTuple):
    """What is left of a quota now, and in how many seconds it is whole again."""

    remaining: int
    reset_seconds: int


class Quota:
    """A named quota: ``limit`` units per ``WINDOW_SECONDS``, at once or spread, for each caller."""

    def __init__(self, name: str, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.policy = f'"{name}";q={limit};w={WINDOW_SECONDS}'
        self._name = name
        self._limit = limit
        self._interval = WINDOW_SECONDS / limit
        self._clock = clock
        self._whole_at: OrderedDict[str, float] = OrderedDict()

    def take(self, caller: str, units: int = 1) -> Standing:
        """Take units of a caller's quota.

        Raises:
            Refusal: 429, less is left than ``units``; nothing is taken.
        """
        now = self._clock()
        whole_at = max(self._whole_at.get(caller, now), now) + units * self._interval
        # A billionth of an interval forgives what adding floats loses.
        if whole_at - now > WINDOW_SECONDS + self._interval * 1e-6:
            raise self._refusal(caller, units)
        self._put(caller, whole_at)
        return self._standing(whole_at - now)

    def owe(self, caller: str, units: int) -> None:
        """Count units that were used already, also where fewer are left."""
        now = self._clock()
        whole_at = max(self._whole_at.get(caller, now), now) + units * self._interval
        self._put(caller, min(whole_at, now + 2 * WINDOW_SECONDS))

    def require(self, caller: str) -> None:
        """Demand that a unit is left, without taking it.

        Raises:
            Refusal: 429, none is left.
        """
        if self.is_used_up(caller):
            raise self._refusal(caller, 1)

    def is_used_up(self, caller: str) -> bool:
        """Whether not one unit is left."""
        return caller in self._whole_at and self.standing(caller).remaining < 1

    def standing(self, caller: str) -> Standing:
        """What a caller has left."""
        now = self._clock()
        return self._standing(max(self._whole_at.get(caller, now) - now, 0.0))

    def header(self, standing: Standing) -> str:
        """The member of the RateLimit header that tells a standing."""
        return f'"{self._name}";r={standing.remaining};t={standing.reset_seconds}'

    def _standing(self, used_seconds: float) -> Standing:
        left = (WINDOW_SECONDS - used_seconds) / self._interval
        return Standing(max(math.floor(left + 1e-6), 0), math.ceil(used_seconds))

    def _refusal(self, caller: str, units: int) -> Refusal:
        now = self._clock()
        used = max(self._whole_at.get(caller, now) - now, 0.0)
        wait = used + units * self._interval - WINDOW_SECONDS
        headers = {
            "Retry-After": str(max(math.ceil(wait), 1)),
            "RateLimit-Policy": self.policy,
            "RateLimit": self.header(self._standing(used)),
        }
        return Refusal(429, "rate-limited", "Too many requests; try again later", headers)

    def _put(self, caller: str, whole_at: float) -> None:
        self._whole_at[caller] = whole_at
        self._whole_at.move_to_end(caller)
        if len(self._whole_at) > CALLERS_KEPT_MAX:
            self._whole_at.popitem(last=False)


class UnknownLookups:
    """Lookups of unknown devices: a quota of each merchant, and one of all together.

    Many merchants that ask for a few each would find out as much as one that asks for many. Once
    the quota of all is used up, each has ``FEW_UNKNOWN`` a minute, what it used of late included.
    """

    def __init__(
        self, each: int, together: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        name = "unknown-lookups"
        self._each = Quota(name, each, clock)
        self._few = Quota(name, min(each, FEW_UNKNOWN), clock)
        self._together = Quota(name, together, clock)

    def require(self, merchant: str) -> None:
        """Demand that a merchant may ask for one more.

        Raises:
            Refusal: 429, it may not.
        """
        self._each.require(merchant)
        if self._together.is_used_up(_ALL):
            self._few.require(merchant)

    def owe(self, merchant: str, units: int) -> None:
        """Count unknown devices that a merchant asked for."""
        for quota, who in ((self._each, merchant), (self._few, merchant), (self._together, _ALL)):
            quota.owe(who, units)
