"""Moving the stores of an installation on to this version's schemas."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from device_ledger.postgres import is_alone
from device_ledger.schemas import EVENTS, TREES, VAULT, Schema, SchemaError
from device_ledger.settings import Settings
from device_ledger.trees.database import Database, PostgresDatabase, SqliteDatabase

Open = Callable[[], Database]


@dataclass(frozen=True)
class Migrated:
    """A store that is there, and the schemas that it had and has."""

    title: str
    before: int
    now: int


def migrate(settings: Settings) -> list[Migrated]:
    """Move each store that is there on, in one transaction a store; done again, nothing changes.

    Raises:
        SchemaError: a store is of a newer schema than this version's, or others are connected.
        TreeStoreError: a database can't be used.
    """
    done = []
    for schema, database in _stores(settings):
        with closing(database):
            before, now = database.transact(_mover(schema, database))
        if before:
            done.append(Migrated(schema.title, before, now))
    return done


def _stores(settings: Settings) -> list[tuple[Schema, Database]]:
    events, vault = (
        url.get_secret_value() for url in (settings.event_store_url, settings.vault_url)
    )
    places = (
        (EVENTS, events, settings.home / "ledger" / "events.db"),
        (TREES, events, settings.home / "log" / "tree.db"),
        (VAULT, vault, settings.home / "vault" / "vault.db"),
    )
    return [
        (schema, PostgresDatabase(url) if url else SqliteDatabase(path))
        for schema, url, path in places
        if url or path.exists()
    ]


def _mover(schema: Schema, database: Database) -> Callable[[object], tuple[int, int]]:
    def move(db: object) -> tuple[int, int]:
        ask = database.ask(db)
        outdated = 0 < schema.found(ask, database.is_there) < schema.version
        if outdated and isinstance(database, PostgresDatabase) and not is_alone(ask):
            raise SchemaError(
                f"other processes are connected to the database of the {schema.title}: stop all"
                " processes first"
            )
        return schema.migrate(ask, database.is_there)

    return move
