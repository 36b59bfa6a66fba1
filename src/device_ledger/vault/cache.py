"""Data keys in memory: the ones used last, for a minute at most."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from device_ledger.vault.tables import Customer

CACHE_SECONDS: Final = 60.0
CACHE_SIZE: Final = 100_000


@dataclass(frozen=True, slots=True)
class DataKey:
    """A customer's key of 32 bytes; the next generation follows after an erasure."""

    generation: int
    key: bytes = field(repr=False)


class KeyCache:
    """The keys used last, none older than a minute by the given clock. For one thread."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = CACHE_SECONDS,
        size: int = CACHE_SIZE,
    ) -> None:
        self.clock = clock
        self._seconds = seconds
        self._size = size
        self._entries: OrderedDict[Customer, tuple[float, DataKey]] = OrderedDict()

    def get(self, customer: Customer) -> DataKey | None:
        """The customer's key where it was read within the last minute."""
        entry = self._entries.get(customer)
        if entry is None:
            return None
        if self.clock() - entry[0] >= self._seconds:
            del self._entries[customer]
            return None
        self._entries.move_to_end(customer)
        return entry[1]

    def put(self, customer: Customer, key: DataKey, read_at: float) -> None:
        """Keep a key that was asked for at a time of the clock."""
        self._entries[customer] = (read_at, key)
        self._entries.move_to_end(customer)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def drop(self, customer: Customer) -> None:
        """Forget a customer's key."""
        self._entries.pop(customer, None)
