"""What the ledger asks of an event store beyond the library's recorder.

Two stores give it, ``sqlite_store`` and ``postgres_store``, and one contract test runs on both.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Protocol, Self
from uuid import UUID

from eventsourcing.persistence import Notification, OperationalError, StoredEvent

from device_ledger.ledger.receipts import StoredReceipt

Versions = Mapping[UUID, int]

CUSTOMER_SNAPSHOT = "customer.snapshot.v2"
CLAIM_SNAPSHOT = "claim.snapshot.v1"
"""The formats of snapshots: state of other fields needs another name; others go unread."""

SNAPSHOT_TOPICS = f"'{CUSTOMER_SNAPSHOT}', '{CLAIM_SNAPSHOT}'"
"""The formats that are read, for SQL."""

SOURCE_PREFIX = "urn:device-ledger:"

PURGE_MAX = 1_000
"""How many expired receipts are deleted at once, so that no commit waits long for it."""


class ConflictError(Exception):
    """What a decision rests on has moved since it was read; nothing was written."""


class RestoredError(OperationalError):
    """The store was restored since this process opened it: it is of another epoch now."""

    def __init__(self) -> None:
        super().__init__("the event store was restored since this process started: start it again")


class StoreRefusedError(Exception):
    """The store can't be used like this; the message is one line for the operator."""


@dataclass(frozen=True)
class Identity:
    """Which ledger a store holds: fixed at its first start; only a restore raises the epoch."""

    ledger_id: str
    epoch: int
    partitions: int

    @cached_property
    def source(self) -> str:
        """The ``source`` of the ledger's public events."""
        return f"{SOURCE_PREFIX}{self.ledger_id}:{self.epoch}"

    @classmethod
    def of_source(cls, source: str, partitions: int) -> Self:
        """The ledger that an event's ``source`` names.

        Raises:
            ValueError: it names none.
        """
        ledger_id, _, epoch = source.removeprefix(SOURCE_PREFIX).rpartition(":")
        if not source.startswith(SOURCE_PREFIX) or not ledger_id:
            raise ValueError("the events' source is no ledger's")
        return cls(ledger_id, int(epoch), partitions)


@dataclass
class Stream:
    """An aggregate as stored: its newest snapshot, if any, and the events after it, in order."""

    snapshot: StoredEvent | None = None
    events: list[StoredEvent] = field(default_factory=list)


@dataclass(frozen=True)
class Unit:
    """What is written in one transaction, and the versions that it rests on.

    ``partitions`` has the partition of each event, ``None`` for one that isn't public. ``read``
    has the version of every aggregate that any of the unit's decisions saw, 0 for none yet.
    """

    read: Versions
    events: Sequence[StoredEvent] = ()
    partitions: Sequence[int | None] = ()
    receipts: Sequence[StoredReceipt] = ()
    now: str = ""


class LedgerRecorder(Protocol):
    """An application recorder that also reads in bulk and writes a :class:`Unit`."""

    def prepare(self, partitions: int) -> Identity:
        """Make the ledger's own tables if they aren't there; say which ledger this is."""
        ...

    def load(self, originators: Collection[UUID]) -> dict[UUID, Stream]:
        """The streams of these aggregates, in one or two queries. New ones are absent."""
        ...

    def receipts(self, receipt_ids: Collection[str], now: str) -> dict[str, StoredReceipt]:
        """Those of these receipts that are kept still."""
        ...

    def append(self, unit: Unit) -> dict[int, int]:
        """Write a unit durably, or nothing; the last event id of each partition, then.

        Raises:
            ConflictError: a version is not what was read, or a receipt has come in between.
            PersistenceError: the database failed; whether it has committed is not known.
        """
        ...

    def erasures(self, after: int, limit: int) -> list[Notification]:
        """Erasures that were ordered, in the order of their ids; those that follow an id."""
        ...

    def erasures_of(self, originator: UUID) -> list[Notification]:
        """The erasures of one customer, oldest first."""
        ...

    def heads(self) -> dict[int, int]:
        """The last public event id of each partition that has one.

        Raises:
            RestoredError: the store is of another epoch than when it was prepared.
        """
        ...

    def begin_epoch(self, epoch: int, first_id: int, unit: Unit) -> None:
        """Raise the epoch, and write a unit's events with ids from ``first_id`` on, all above any
        that is there; durable on return, or nothing.

        Raises:
            StoreRefusedError: other processes use the store.
            PersistenceError: the database failed.
        """
        ...

    def add_snapshots(self, snapshots: Sequence[StoredEvent]) -> None:
        """Keep snapshots; one that is there already stays as it is."""
        ...

    def purge_receipts(self, now: str) -> int:
        """Delete up to ``PURGE_MAX`` expired receipts; how many there were."""
        ...

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Stored events in the order of their ids."""
        ...

    def max_notification_id(self) -> int | None:
        """The last id that was given; ``None`` where nothing is stored."""
        ...


HEADS = (
    "SELECT partition, last_id FROM partition_heads UNION ALL SELECT -1, epoch FROM ledger_identity"
)
"""The heads, and the epoch as that of partition -1: `read_heads` takes them apart."""


def read_heads(rows: Iterable[tuple[int, int]], epoch: int) -> dict[int, int]:
    """The heads of these rows.

    Raises:
        RestoredError: the store is not of this epoch.
    """
    heads = dict(rows)
    if heads.pop(-1) != epoch:
        raise RestoredError
    return heads


def new_heads(ids: Sequence[int], partitions: Sequence[int | None]) -> dict[int, int]:
    """The last id of each partition that these events move."""
    return {
        partition: event_id
        for event_id, partition in zip(ids, partitions, strict=True)
        if partition is not None
    }


def schema(store: str) -> list[str]:
    """The statements that make the ledger's own tables on ``sqlite`` or ``postgres``."""
    text = files(__package__).joinpath(f"{store}.sql").read_text()
    return [statement for statement in text.split(";") if statement.strip()]


def made_by(statements: Sequence[str]) -> list[str]:
    """The names of the tables and indexes that these statements make."""
    return [name for it in statements for name in re.findall(r"IF NOT EXISTS (\w+)", it)]
