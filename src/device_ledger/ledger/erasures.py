"""The erasures that the ledger holds: what became of each is told from here, for ever."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from eventsourcing.persistence import Notification

from device_ledger.domain.customer.command import Context
from device_ledger.domain.customer.events import ErasureOrdered
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.ledger.ledger import EventStore

_PAGE: Final = 1_000


@dataclass(frozen=True)
class Erasure:
    """A customer was erased. ``position`` is the id of the event that closes the erasure: every
    event of the customer that it covers has a lower one."""

    position: int
    customer: CustomerRef
    ordered: ErasureOrdered
    context: Context
    recorded_at: str


def pages_of_erasures(events: EventStore) -> Iterator[list[Erasure]]:
    """Every erasure, in the order in which they were decided, up to 1,000 at once."""
    after = 0
    while page := events.store.erasures(after, _PAGE):
        yield [_read(events, row) for row in page]
        after = page[-1].id


def erasure_of(events: EventStore, customer: CustomerRef, generation: int) -> Erasure:
    """The erasure that gave up a customer's data keys up to a generation.

    Raises:
        LookupError: there is none.
    """
    for row in events.store.erasures_of(customer.aggregate_id):
        erasure = _read(events, row)
        if erasure.ordered.key_generation == generation:
            return erasure
    raise LookupError("no such erasure")


def _read(events: EventStore, row: Notification) -> Erasure:
    recorded = events.facts.to_domain_event(row)
    origin = recorded.origin
    return Erasure(row.id, origin.customer, recorded.fact, origin.context, origin.recorded_at)
