"""Epochs: what is recorded when the event store was restored, and what that makes of the past.

An epoch begins with an event of its own in each partition, with ids above any that an earlier epoch
can have given: so that no id ever stands for two events, a reader of any partition meets the change
there, and a position tells by itself which epoch it is of.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

import orjson
from eventsourcing.persistence import StoredEvent

from device_ledger.domain.customer.command import Context
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.domain.restored import LedgerRestored
from device_ledger.ledger.ledger import EventStore
from device_ledger.ledger.records import FactMapper, Origin, Recorded
from device_ledger.ledger.stores import Identity, Unit
from device_ledger.vault.encoding import to_text
from device_ledger.wire.codec import partition_of

IDS_OF_AN_EPOCH: Final = 1 << 40
"""An epoch's ids begin above so many for each epoch before it: of all these, 8,000 epochs fit into
the whole numbers that JSON's readers keep exact."""

_NAMESPACE: Final = UUID("0c4b55f2-6d0f-5b07-8a54-3a2f5f5f5f17")
_OPERATOR: Final = "operator"

Heads = dict[int, int]
"""For each partition the id of its last event, 0 for none."""


@dataclass(frozen=True)
class Epochs:
    """The epoch that a store is of, and for each earlier one the heads of what was kept of it.

    Where epochs are skipped, as some other restore had them, nothing was kept of those.
    """

    now: int
    kept: dict[int, Heads]

    def keeps(self, epoch: int, partition: int, event_id: int) -> bool:
        """Whether an event of an epoch can be part of history, by its partition and id."""
        return all(
            event_id <= heads.get(partition, 0)
            for ended, heads in self.kept.items()
            if ended >= epoch
        )

    def count_up_to(self, event_id: int) -> int:
        """An id without what epochs have skipped: ids to count by, not to find anything by."""
        skipped = 0
        for ended, heads in self.kept.items():
            began = ended * IDS_OF_AN_EPOCH
            if event_id > began:
                skipped = max(skipped, began - self.count_up_to(max(heads.values(), default=0)))
        return event_id - skipped

    def kept_up_to(self, epoch: int) -> int:
        """The id up to which all events of an epoch are part of history still."""
        ends = [max(heads.values(), default=0) for ended, heads in self.kept.items()]
        later = [end for ended, end in zip(self.kept, ends, strict=True) if ended >= epoch]
        return min(later, default=(1 << 63) - 1)


def epochs_of(events: EventStore) -> Epochs:
    """The epochs of a store, as its own events tell them.

    Raises:
        PersistenceError: it can't be read.
    """
    kept: dict[int, Heads] = {}
    identity = events.identity
    for stored in events.recorder.select_events(_originator(identity.ledger_id)):
        told = orjson.loads(stored.state)
        began, after = told["data"]["epoch"], int(told["data"]["after"])
        partition = partition_of(told["subject"], identity.partitions)
        kept.setdefault(began - 1, {})[partition] = after
    return Epochs(identity.epoch, kept)


def begin_epoch(events: EventStore, epoch: int, reason: str, now: str) -> None:
    """Raise the epoch of a store; what is in it is what is kept.

    Raises:
        StoreRefusedError: other processes use the store.
        PersistenceError: it can't be read or written.
    """
    identity, store = events.identity, events.store
    heads = store.heads()
    after = {partition: heads.get(partition, 0) for partition in range(identity.partitions)}
    begun = Identity(identity.ledger_id, epoch, identity.partitions)
    version = len(list(events.recorder.select_events(_originator(identity.ledger_id))))
    told = list(_told(begun, after, reason, now, version))
    first_id = max((epoch - 1) * IDS_OF_AN_EPOCH, store.max_notification_id() or 0) + 1
    store.begin_epoch(epoch, first_id, Unit({}, told, list(after)))
    events.identity = begun
    events.facts.source = begun.source


def _told(
    begun: Identity, after: Heads, reason: str, now: str, version: int
) -> Iterator[StoredEvent]:
    mapper = FactMapper(begun.source)
    nobody = CustomerRef("", "", None)
    context = Context(_OPERATOR, None, f"epoch-{begun.epoch}", now)
    for partition, last_id in after.items():
        fact = LedgerRestored(_subject(begun, partition), begun.epoch, str(last_id), reason)
        recorded = Recorded(
            _originator(begun.ledger_id),
            version + partition + 1,
            fact,
            Origin(nobody, context, now),
        )
        yield mapper.to_stored_event(recorded)


def _subject(begun: Identity, partition: int) -> str:
    """A token that lies in a partition; no device's, whose tokens are keyed."""
    number = 0
    while True:
        name = f"{begun.source}/{number}".encode()
        subject = to_text(hashlib.sha256(name).digest())
        if partition_of(subject, begun.partitions) == partition:
            return subject
        number += 1


def _originator(ledger_id: str) -> UUID:
    return uuid5(_NAMESPACE, ledger_id)
