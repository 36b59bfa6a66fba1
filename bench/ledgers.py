"""Event stores of many links, written by the ledger's own recorder."""

import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Final

import psycopg

from bench.links import new_link
from device_ledger.domain.claim import Claim, ClaimTaken
from device_ledger.domain.customer.state import Customer
from device_ledger.ledger.ledger import EventStore, utc_now
from device_ledger.ledger.records import Origin, Recorded
from device_ledger.ledger.stores import Unit
from device_ledger.settings import Settings
from device_ledger.wire.codec import partition_of

FACTS: Final = 4
"""Of a link of a new device to a new customer: registered, linked, and two claims."""
TOGETHER: Final = 2_500
"""Links in one transaction."""
_TABLES: Final = (
    "device_ledger_events, device_ledger_snapshots, receipts, partition_heads, ledger_identity"
)


def fill(settings: Settings, count: int) -> None:
    """Make an event store hold at least so many links, and at most twice as many.

    Where runs have added more, it is made anew; where it was interrupted, it goes on.
    """
    if (stored := _stored(settings)) > 2 * count:
        _remove(settings)
        stored = 0
    events = EventStore.open(settings)
    partitions = events.identity.partitions
    try:
        for first in range(stored, count, TOGETHER):
            links = min(TOGETHER, count - first)
            recorded = [fact for _ in range(links) for fact in _facts()]
            places = [_place(one.subject, partitions) for one in recorded]
            facts = [events.facts.to_stored_event(one) for one in recorded]
            events.store.append(Unit({}, facts, places))
    finally:
        events.close()


def _stored(settings: Settings) -> int:
    events = EventStore.open(settings)
    try:
        return (events.store.max_notification_id() or 0) // FACTS
    finally:
        events.close()


def _remove(settings: Settings) -> None:
    if url := settings.event_store_url.get_secret_value():
        with psycopg.connect(url) as connection:
            connection.execute(f"DROP TABLE {_TABLES}".encode())
    else:
        shutil.rmtree(settings.home / "ledger")


def _place(subject: str | None, partitions: int) -> int | None:
    return None if subject is None else partition_of(subject, partitions)


def _facts() -> Iterator[Recorded]:
    """What one link comes to, as the domain decides it."""
    command = new_link()
    customer = Customer(command.customer)
    claims = {claim: Claim(claim) for claim in command.claims(None)}
    origin = Origin(command.customer, command.context, utc_now())
    versions: Counter[object] = Counter()
    for fact in command.decide(customer, claims):
        at = fact.claim_id if isinstance(fact, ClaimTaken) else customer.aggregate_id
        versions[at] += 1
        yield Recorded(at, versions[at], fact, origin)
