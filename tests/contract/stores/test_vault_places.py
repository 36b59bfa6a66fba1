"""What is particular to each place that a vault may lie in."""

import stat
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest
from psycopg import sql

from device_ledger.settings import Settings
from device_ledger.vault.keys import Keys, MasterKey, MasterKeys
from device_ledger.vault.store import VaultStoreError
from device_ledger.vault.stores import PostgresStore, SqliteStore, open_store
from device_ledger.vault.tokens import TokenKey
from device_ledger.vault.vault import Vault

MASTER = MasterKey(bytes(range(32)))
KEYS = Keys(MasterKeys([MASTER]), TokenKey(bytes(range(32))))
ANNA = ("bank-a", "anna")


def settings_of(home: Path, **values: str) -> Settings:
    return Settings.model_validate({"home": home, **values})


async def test_the_file_is_private_and_durable_and_an_erased_key_is_in_none(
    tmp_path: Path,
) -> None:
    vault = Vault.open(settings_of(tmp_path), KEYS)
    await vault.data_key(*ANNA)
    folder = tmp_path / "vault"
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == ["vault.db", "vault.db-shm", "vault.db-wal"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (row,) = vault._store.read([ANNA])
    assert row.wrapped is not None
    assert any(row.wrapped.encode() in path.read_bytes() for path in files)
    await vault.erase(*ANNA, generation=1)
    assert not any(row.wrapped.encode() in path.read_bytes() for path in files)
    connection = vault._store.connections.get()
    pragmas = ("journal_mode", "synchronous", "secure_delete")
    values = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert values == ["wal", 2, 1]
    vault.close()


def test_no_read_of_the_file_goes_through_the_whole_table(tmp_path: Path) -> None:
    vault = Vault.open(settings_of(tmp_path), KEYS)
    connection = vault._store.connections.get()
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    vault._store.read([ANNA, ("bank-b", "anna")])
    vault._store.page(ANNA, 10)
    connection.set_trace_callback(None)
    assert len(statements) == 2
    for statement in statements:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert [step for step in plan if step.startswith("SEARCH data_keys USING INDEX")]
        assert not [step for step in plan if step.startswith("SCAN data_keys")]
    vault.close()


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "vault").touch()
    with pytest.raises(VaultStoreError, match=r"cannot write .*vault\.db: "):
        Vault.open(settings_of(tmp_path), KEYS)


def test_a_server_that_does_not_answer_is_one_clear_line(tmp_path: Path) -> None:
    url = "postgresql://anna:secret@127.0.0.1:1/vault"
    with pytest.raises(VaultStoreError) as raised:
        Vault.open(settings_of(tmp_path, vault_url=url), KEYS)
    assert str(raised.value) == "the vault's store failed: OperationalError"


def test_the_vault_never_shares_the_event_stores_database(tmp_path: Path) -> None:
    events = "postgresql://app@db/ledger"
    for vault in ("postgresql://keys@db:5432/ledger", "postgres://x@db?dbname=ledger"):
        with pytest.raises(VaultStoreError, match="give the vault its own"):
            open_store(settings_of(tmp_path, event_store_url=events, vault_url=vault))
    own = settings_of(tmp_path, event_store_url=events, vault_url="postgresql://db/vault")
    assert isinstance(open_store(own), PostgresStore)
    assert isinstance(open_store(settings_of(tmp_path, event_store_url=events)), SqliteStore)


async def test_a_lost_connection_is_opened_again(tmp_path: Path, postgres_database: str) -> None:
    vault = Vault.open(settings_of(tmp_path, vault_url=postgres_database), KEYS)
    key = await vault.data_key(*ANNA)
    others = (
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        assert connection.execute(others).fetchall()
    vault.forget(*ANNA)
    assert await vault.data_key(*ANNA) == key
    assert (await vault.data_key("bank-a", "bert")).generation == 1
    vault.close()


async def test_a_role_that_may_only_read_opens_the_vault_and_makes_no_key(
    tmp_path: Path, postgres_database: str
) -> None:
    vault = Vault.open(settings_of(tmp_path, vault_url=postgres_database), KEYS)
    key = await vault.data_key(*ANNA)
    role = "reader_of_" + tmp_path.name
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        name = sql.Identifier(role)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
        grant = sql.SQL("GRANT SELECT ON data_keys, installation, schema_version TO {}")
        connection.execute(grant.format(name))
        try:
            url = (
                f"{postgres_database}?{urlencode({'options': f'-c role={role}'}, quote_via=quote)}"
            )
            reader = Vault.open(settings_of(tmp_path, vault_url=url), KEYS)
            assert await reader.existing_keys([ANNA]) == {ANNA: key}
            with pytest.raises(VaultStoreError, match="InsufficientPrivilege"):
                await reader.data_key("bank-a", "bert")
            reader.close()
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
            connection.execute(sql.SQL("DROP ROLE {}").format(name))
    vault.close()
