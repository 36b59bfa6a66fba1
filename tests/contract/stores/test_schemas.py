"""Stores note their schema: an older one asks for a migration, a newer one is refused."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from device_ledger.ledger.ledger import EventStore, Ledger
from device_ledger.ledger.stores import StoreRefusedError
from device_ledger.migrating import Migrated, migrate
from device_ledger.schemas import EVENTS, TREES, VAULT, SchemaError
from device_ledger.settings import Settings
from device_ledger.trees.store import TreeStore
from device_ledger.vault.store import VaultStoreError
from device_ledger.vault.stores import open_store
from tests.conftest import AnyStore
from tests.support.postgres import fresh_database

Run = Callable[[str, str], None]
"""Runs a statement on the database of a store."""

TITLES = {"events": "event store", "trees": "store of the logs' trees", "vault": "vault"}


@pytest.fixture
def settings(any_store: AnyStore, vault_url: str) -> Settings:
    """An installation of this version."""
    return made(any_store.home, any_store.url, vault_url)


def made(home: Path, url: str, vault_url: str) -> Settings:
    settings = Settings(home=home, event_store_url=SecretStr(url), vault_url=SecretStr(vault_url))
    Ledger.open(settings).close()
    trees, vault = TreeStore.open(settings), open_store(settings)
    trees.prepare()
    vault.create_tables()
    trees.close()
    vault.close()
    return settings


@pytest.fixture
def run(settings: Settings) -> Run:
    def execute(store: str, statement: str) -> None:
        urls = {"events": settings.event_store_url, "trees": settings.event_store_url}
        url = urls.get(store, settings.vault_url).get_secret_value()
        files = {"events": "ledger/events.db", "trees": "log/tree.db", "vault": "vault/vault.db"}
        if url:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(statement)
        else:
            with closing(sqlite3.connect(settings.home / files[store])) as database:
                database.execute(statement)
                database.commit()

    return execute


def open_again(settings: Settings, store: str) -> None:
    """Open a store as a process does at its start."""
    if store == "events":
        EventStore.open(settings).close()
    elif store == "trees":
        trees = TreeStore.open(settings)
        try:
            trees.prepare()
        finally:
            trees.close()
    else:
        vault = open_store(settings)
        try:
            vault.create_tables()
        finally:
            vault.close()


REFUSED = (StoreRefusedError, SchemaError, VaultStoreError)


@pytest.mark.parametrize("schema", [EVENTS, TREES, VAULT], ids=lambda schema: schema.store)
def test_a_newer_schema_is_refused_by_process_and_migration(
    settings: Settings, run: Run, schema: object
) -> None:
    store = schema.store  # type: ignore[attr-defined]
    open_again(settings, store)
    run(store, f"UPDATE schema_version SET version = 99 WHERE store = '{store}'")
    words = f"the {TITLES[store]} is of schema 99, newer than the 2"
    with pytest.raises(REFUSED, match=words):
        open_again(settings, store)
    with pytest.raises(SchemaError, match=words):
        migrate(settings)


def test_stores_without_a_number_are_those_of_the_first_version_and_are_moved_on(
    settings: Settings, run: Run
) -> None:
    assert [one.before for one in migrate(settings)] == [2, 2, 2]
    run("trees", "ALTER TABLE log_trees DROP COLUMN epoch")
    for store in TITLES:
        run(store, "DROP TABLE IF EXISTS schema_version")
        with pytest.raises(REFUSED, match="run `device-ledger migrate`"):
            open_again(settings, store)
    assert migrate(settings) == [Migrated(title, 1, 2) for title in TITLES.values()]
    assert migrate(settings) == [Migrated(title, 2, 2) for title in TITLES.values()]
    for store in TITLES:
        open_again(settings, store)


def test_a_store_that_others_use_is_not_migrated(postgres: str, tmp_path: Path) -> None:
    with fresh_database(postgres) as url, fresh_database(postgres) as vault_url:
        settings = made(tmp_path, url, vault_url)
        with psycopg.connect(url) as another:
            another.execute("DELETE FROM schema_version WHERE store = 'events'")
            another.commit()
            with pytest.raises(SchemaError, match="stop all processes first"):
                migrate(settings)
        assert Migrated("event store", 1, 2) in migrate(settings)


def test_a_home_without_a_store_has_nothing_to_migrate(tmp_path: Path) -> None:
    assert migrate(Settings(home=tmp_path)) == []
