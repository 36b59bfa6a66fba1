"""The events log: leaf n is the n-th public event by id, as its exact bytes."""

from collections.abc import Sequence
from typing import Final

from eventsourcing.persistence import Notification

from device_ledger.ledger.ledger import EventStore
from device_ledger.proofs import leaf_hash
from device_ledger.relay.signing import LogRefusedError, Signing
from device_ledger.trees.store import Leaf, Standing, TreeStore
from device_ledger.wire.codec import public_bytes
from device_ledger.wire.events import EVENT_TYPES
from device_ledger.wire.trail import EVENTS_LOG

CHECKED_LEAVES: Final = 256
"""How many of the last leaves are compared with the event store at a start."""


class EventsLog:
    """Follows the event store, as far as the relay has brought it to Kafka."""

    def __init__(self, events: EventStore, store: TreeStore, signing: Signing) -> None:
        self._events = events
        self._store = store
        self._signing = signing
        self._standing = Standing()

    def open(self) -> None:
        """Go on where the tree stands.

        Raises:
            LogRefusedError: the tree isn't the one that was signed, or not that of these events.
        """
        self._standing = self._signing.open()
        if self._standing.size:
            self._expect_same_events(self._standing)

    def grow(self, up_to: int) -> bool:
        """Append some events, none with an id above ``up_to``; whether there may be more.

        Raises:
            LogRefusedError: the tree isn't the one that was signed.
            TreeStoreError: the database failed.
        """
        before = self._standing
        room = self._signing.room(before.size)
        batch = self._select(before.position, up_to, room, inclusive=False)
        if batch or self._signing.is_due(before.size):
            position = batch[-1].id if batch else before.position
            self._standing = self._signing.append(before, _leaves(batch), position)
        return len(batch) == room

    def _expect_same_events(self, standing: Standing) -> None:
        start = max(0, standing.size - CHECKED_LEAVES)
        first = int(self._store.ref_of(EVENTS_LOG, start))
        kept = self._store.leaf_hashes(EVENTS_LOG, start, standing.size)
        found = self._select(first, standing.position, CHECKED_LEAVES, inclusive=True)
        if len(found) < len(kept):
            raise LogRefusedError(
                f"the tree of the events log has {standing.size} events, up to"
                f" {standing.position}, and the event store lacks some of them: it is an old copy,"
                " or was changed; restore the newest one"
            )
        for one, leaf, hashed in zip(found, _leaves(found), kept, strict=True):
            if leaf.hashed != hashed:
                raise LogRefusedError(
                    f"event {one.id} is not what the tree of the events log has: the event store"
                    " was changed; `device-ledger verify --source store` tells the first event"
                )

    def _select(
        self, start: int, stop: int, limit: int, *, inclusive: bool
    ) -> Sequence[Notification]:
        return self._events.store.select_notifications(
            start, limit, stop=stop, topics=EVENT_TYPES, inclusive_of_start=inclusive
        )


def _leaves(batch: Sequence[Notification]) -> list[Leaf]:
    return [Leaf(leaf_hash(public_bytes(one.id, one.state)), str(one.id)) for one in batch]
