"""How the library comes to PostgreSQL: its connections, and who makes its tables."""

from typing import Any, Final, cast
from uuid import uuid4

from eventsourcing.postgres import PostgresAggregateRecorder, PostgresFactory, PostgresRecorder
from psycopg.conninfo import conninfo_to_dict

from device_ledger.postgres import RECONNECT_SECONDS

PREPARE_LOCK: Final = 0x6465766C
"""The advisory lock of whoever makes the event store's tables."""


class MadeByOne(PostgresRecorder):
    """What the library makes, by one process at a time: two at once would hurt each other."""

    def create_table(self) -> None:
        """The library's tables, types and functions, where they are missing."""
        with self.datastore.transaction(commit=True) as c:
            c.execute("SELECT pg_advisory_xact_lock(%s)", (PREPARE_LOCK,))
            super().create_table()


class Snapshots(MadeByOne, PostgresAggregateRecorder):
    """The library's table of snapshots."""


class ConninfoFactory(PostgresFactory):
    """The library's factory, with all that the store's URL says: ``sslmode``, ``options`` too."""

    CONNINFO = "POSTGRES_CONNINFO"
    aggregate_recorder_class = Snapshots

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        pool = self.datastore.pool
        given = conninfo_to_dict(self.env.get(self.CONNINFO, ""))
        # The name of this process's connections alone: see `is_alone`.
        name = f"{given.get('application_name') or 'device-ledger'} {uuid4().hex[:12]}"
        pool.kwargs = {**cast("dict[str, Any]", pool.kwargs), **given, "application_name": name}
        pool.reconnect_timeout = RECONNECT_SECONDS
