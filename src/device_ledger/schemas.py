"""Which schema each store has: noted in it, compared at every start, and moved on by one command.

A store that notes none is of schema 1, that of version 0.1.0. Read models are not among them: one
whose tables are others is built anew (``projections.model.ReadModel.fingerprint``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from device_ledger import __version__

Ask = Callable[..., Sequence[Sequence[Any]]]
"""Runs a statement, whose values are marked ``?`` and follow it, and gives its rows."""

TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS schema_version (store TEXT PRIMARY KEY, version INTEGER NOT NULL)"
)
IN_SQLITE: Final = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?"
IN_POSTGRESQL: Final = (
    "SELECT count(*) FROM pg_tables"
    " WHERE schemaname = ANY (current_schemas(true)) AND tablename = ?"
)
"""Whether a table is there."""

_FIRST: Final = 1


def asker(execute: Callable[[str, tuple[Any, ...]], Any]) -> Ask:
    """What a schema asks by, of a function that runs a statement and gives its cursor."""

    def ask(statement: str, *values: Any) -> list[Any]:
        cursor = execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []

    return ask


class SchemaError(Exception):
    """A store is of another schema than this version's; one line for the operator."""


@dataclass(frozen=True)
class Schema:
    """The schema of a store: ``table`` is one that the store has had from the first on, ``steps``
    has the statements that lead from a version to the next."""

    store: str
    title: str
    table: str
    steps: Mapping[int, Sequence[str]]

    @property
    def version(self) -> int:
        """The one that this version of the ledger makes and uses."""
        return max(self.steps) + 1

    def found(self, ask: Ask, is_there: str) -> int:
        """The version of a store, 0 where it was not made yet."""
        if not ask(is_there, self.table)[0][0]:
            return 0
        if not ask(is_there, "schema_version")[0][0]:
            return _FIRST
        rows = ask("SELECT version FROM schema_version WHERE store = ?", self.store)
        return int(rows[0][0]) if rows else _FIRST

    def expect(self, ask: Ask, is_there: str) -> bool:
        """Whether the store was made already; then it is of this version's schema.

        Raises:
            SchemaError: it is of an older or newer one.
        """
        found = self.found(ask, is_there)
        if 0 < found < self.version:
            raise SchemaError(
                f"the {self.title} is of schema {found} and this version needs {self.version}:"
                " stop all processes, take a backup, and run `device-ledger migrate`"
            )
        self._refuse_newer(found)
        return found > 0

    def note(self, ask: Ask) -> None:
        """Note this version's in a store that was just made."""
        ask(TABLE)
        insert = (
            "INSERT INTO schema_version VALUES (?, ?)"
            " ON CONFLICT (store) DO UPDATE SET version = excluded.version"
        )
        ask(insert, self.store, self.version)

    def migrate(self, ask: Ask, is_there: str) -> tuple[int, int]:
        """Move a store on to this version's schema, in the caller's transaction; the versions that
        it had and has, 0 where there is none.

        Raises:
            SchemaError: it is of a newer one.
        """
        found = self.found(ask, is_there)
        self._refuse_newer(found)
        if 0 < found < self.version:
            for version in range(found, self.version):
                for statement in self.steps[version]:
                    ask(statement)
            self.note(ask)
        return found, self.version if found else 0

    def _refuse_newer(self, found: int) -> None:
        if found > self.version:
            raise SchemaError(
                f"the {self.title} is of schema {found}, newer than the {self.version} of"
                f" version {__version__}: use the version that made it"
            )


EVENTS: Final = Schema("events", "event store", "ledger_identity", {1: ()})
TREES: Final = Schema(
    "trees",
    "store of the logs' trees",
    "log_trees",
    {1: ("ALTER TABLE log_trees ADD COLUMN epoch BIGINT NOT NULL DEFAULT 1",)},
)
VAULT: Final = Schema("vault", "vault", "data_keys", {1: ()})
