"""The ledger: the one door for writes. Its event store is the only truth."""

import fcntl
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import Mapper
from eventsourcing.utils import Environment
from psycopg.conninfo import conninfo_to_dict

from device_ledger.backup.plan import HALF_RESTORED, is_half_restored
from device_ledger.domain.customer.command import Command
from device_ledger.ledger.group_commit import BATCH_MAX, GroupCommit
from device_ledger.ledger.receipts import Answer, Receipt
from device_ledger.ledger.records import FactMapper
from device_ledger.ledger.stores import Identity, LedgerRecorder, StoreRefusedError
from device_ledger.postgres import conninfo
from device_ledger.schemas import SchemaError
from device_ledger.settings import Settings


def utc_now() -> str:
    """The time as RFC 3339 text in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class EventStore(Application[UUID]):
    """The event store, opened for reading and writing; the relay reads its notification log."""

    name = "device_ledger"
    is_snapshotting_enabled = True

    def __init__(self, env: Mapping[str, str], partitions: int) -> None:
        # The library looks for its settings under its application's name, too.
        if Environment(self.name, os.environ).get("POSTGRES_ENABLE_DB_FUNCTIONS"):
            raise StoreRefusedError(
                "POSTGRES_ENABLE_DB_FUNCTIONS is set: it drops the lock that keeps ids in the"
                " order of commits; unset it"
            )
        super().__init__(env)
        self.store = cast("LedgerRecorder", self.recorder)
        try:
            self.identity: Identity = self.store.prepare(partitions)
        except SchemaError as error:
            self.close()
            raise StoreRefusedError(str(error)) from error
        self.facts.source = self.identity.source

    def construct_mapper(self) -> Mapper[UUID]:
        """The library's hook: facts are mapped our way. Only a prepared store tells the source."""
        self.facts = FactMapper(source="")
        return self.facts

    @classmethod
    def open(cls, settings: Settings) -> "EventStore":
        """The store that the settings name: PostgreSQL by its URL, else SQLite below the home."""
        url = settings.event_store_url.get_secret_value()
        if not url and is_half_restored(settings.home):
            raise StoreRefusedError(HALF_RESTORED)
        env = _postgres_env(url) if url else _sqlite_env(settings.home)
        return cls(env, settings.partitions)


class Ledger:
    """Takes commands and answers once what they come to is durable."""

    def __init__(
        self,
        events: EventStore,
        now: Callable[[], str] = utc_now,
        batch_max: int = BATCH_MAX,
        lock: int | None = None,
    ) -> None:
        self.events = events
        self._now = now
        self._lock = lock
        self._commit = GroupCommit(events.store, events.facts, events.identity, now, batch_max)
        self._commit.start()

    @classmethod
    def open(cls, settings: Settings, **kwargs: Any) -> "Ledger":
        """Open the ledger for writing.

        Raises:
            StoreRefusedError: the store is SQLite and another process writes to it.
        """
        lock = None
        if not settings.event_store_url.get_secret_value():
            lock = _lock_for_one_writer(settings.home / "ledger")
        return cls(EventStore.open(settings), lock=lock, **kwargs)

    @property
    def identity(self) -> Identity:
        """Which ledger this is."""
        return self.events.identity

    def submit(self, command: Command, receipt: Receipt) -> "Future[Answer]":
        """Queue a command. See :meth:`GroupCommit.submit`; the future may also raise
        :class:`~device_ledger.ledger.group_commit.UnavailableError`.
        """
        return self._commit.submit(command, receipt)

    def kept(self, receipt: Receipt) -> Answer | None:
        """The answer that a command got before; ``None`` where it is new. Waits for the store.

        Raises:
            PersistenceError: the event store can't be read.
        """
        if not receipt.keyed:
            return None
        kept = self.events.store.receipts([receipt.receipt_id], self._now())
        if receipt.receipt_id not in kept:
            return None
        return replace(kept[receipt.receipt_id].answer_to(receipt), position=self.heads())

    def heads(self) -> dict[int, int]:
        """The ledger's position now: the last public event id of each partition."""
        return self.events.store.heads()

    def close(self) -> None:
        """Answer all that wait, then close the store."""
        self._commit.close()
        self.events.close()
        if self._lock is not None:
            os.close(self._lock)


def _sqlite_env(home: Path) -> dict[str, str]:
    directory = home / "ledger"
    directory.mkdir(parents=True, exist_ok=True)
    return {
        "PERSISTENCE_MODULE": "device_ledger.ledger.sqlite_store:DurableFactory",
        "APPLICATION_RECORDER_TOPIC": "device_ledger.ledger.sqlite_store:SQLiteLedgerRecorder",
        "SQLITE_DBNAME": str(directory / "events.db"),
    }


def _postgres_env(url: str) -> dict[str, str]:
    parts = conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "device_ledger.ledger.postgres_factory:ConninfoFactory",
        "POSTGRES_CONNINFO": conninfo(url),
        "APPLICATION_RECORDER_TOPIC": "device_ledger.ledger.postgres_store:PostgresLedgerRecorder",
        "POSTGRES_DBNAME": str(parts.get("dbname") or "postgres"),
        "POSTGRES_HOST": str(parts.get("host") or ""),
        "POSTGRES_PORT": str(parts.get("port") or "5432"),
        "POSTGRES_USER": str(parts.get("user") or ""),
        "POSTGRES_PASSWORD": str(parts.get("password") or ""),
        "POSTGRES_CONNECT_TIMEOUT": "5",
        "POSTGRES_POOL_SIZE": "1",
        "POSTGRES_MAX_OVERFLOW": "2",
    }


def _lock_for_one_writer(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory / "writer.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        with suppress(OSError):
            os.close(lock)
        raise StoreRefusedError(
            f"another process writes to the event store in {directory};"
            " SQLite is for one API process, PostgreSQL for more"
        ) from None
    return lock
