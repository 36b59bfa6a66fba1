"""Event stores of many links, written by the ledger's own recorder, or multiplied from such."""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Final

import psycopg

from bench.links import new_link
from bench.loading import FAST
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
MULTIPLIED: Final = 10_000
"""Links that others are multiplied from."""
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


def multiply(settings: Settings, count: int) -> None:
    """Make an event store at least as large as one of so many links, and at most twice as large.

    The first links are written by the recorder. Whatever is beyond them is a copy of their rows
    for other aggregates, without content: as many rows, in the same indexes, for commands about
    customers of their own. So a million links took a minute on SQLite instead of twelve. Whoever
    is interrupted begins again.
    """
    if count <= _stored(settings) <= 2 * count:
        return
    _remove(settings)
    fill(settings, MULTIPLIED)
    if url := settings.event_store_url.get_secret_value():
        _copy_in_postgres(url, count // MULTIPLIED - 1)
    else:
        _copy_in_sqlite(settings.home / "ledger" / "events.db", count // MULTIPLIED - 1)


def _copy_in_sqlite(file: Path, copies: int) -> None:
    def another(originator: str, number: int) -> str:
        return blake2b(f"{originator}{number}".encode(), digest_size=16).hexdigest()

    new = file.with_suffix(".new")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(file, new)
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.create_function("another", 2, another, deterministic=True)
        for pragma in FAST:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(
            "WITH RECURSIVE copy(number) AS"
            " (SELECT 1 WHERE ?1 > 0 UNION ALL SELECT number + 1 FROM copy WHERE number < ?1)"
            " INSERT INTO stored_events (originator_id, originator_version, topic, state)"
            " SELECT another(originator_id, number) AS originator, originator_version, topic, x''"
            " FROM copy, stored_events ORDER BY originator, originator_version",
            (copies,),
        )
        connection.execute("PRAGMA journal_mode = WAL")
    new.replace(file)


def _copy_in_postgres(url: str, copies: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET work_mem = '1GB'")
        connection.execute(
            "INSERT INTO device_ledger_events (originator_id, originator_version, topic, state)"
            " SELECT md5(originator_id::text || number)::uuid, originator_version, topic, ''"
            " FROM generate_series(1, %s) AS number, device_ledger_events ORDER BY 1, 2",
            (copies,),
        )
        connection.execute("VACUUM ANALYZE device_ledger_events")


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
