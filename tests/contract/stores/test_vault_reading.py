"""The vault for a process that only reads it."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from device_ledger.keyfile import KeyLoadingError
from device_ledger.settings import Settings
from device_ledger.vault.keys import Keys, MasterKey, MasterKeys
from device_ledger.vault.reading import open_to_read
from device_ledger.vault.store import VaultStoreError
from device_ledger.vault.tokens import TokenKey
from device_ledger.vault.vault import Vault

MASTER = MasterKey(bytes(range(32)))
KEYS = Keys(MasterKeys([MASTER]), TokenKey(bytes(range(32))))
ANNA, BERT = ("bank-a", "anna"), ("bank-a", "bert")


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    return Settings.model_validate({"home": tmp_path, "vault_url": store_url})


@pytest.fixture
def vault(settings: Settings) -> Iterator[Vault]:
    """The vault as the API has it."""
    vault = Vault.open(settings, KEYS)
    yield vault
    vault.close()


@pytest.fixture
def reader(settings: Settings, vault: Vault) -> Iterator[Vault]:
    """The same, for reading."""
    reader = open_to_read(settings, KEYS)
    yield reader
    reader.close()


async def test_it_finds_the_keys_that_another_made(vault: Vault, reader: Vault) -> None:
    key = await vault.data_key(*ANNA)
    assert await reader.existing_keys([ANNA, BERT]) == {ANNA: key}
    await vault.erase(*BERT, 1)
    assert await reader.existing_keys([BERT]) == {}


async def test_it_makes_and_erases_none(vault: Vault, reader: Vault) -> None:
    key = await vault.data_key(*ANNA)
    with pytest.raises(VaultStoreError, match="only reads the vault"):
        await reader.data_key(*BERT)
    with pytest.raises(VaultStoreError, match="only reads the vault"):
        await reader.erase(*ANNA, 1)
    assert await vault.existing_keys([ANNA, BERT]) == {ANNA: key}


def test_one_that_was_not_made_yet_is_not_made(settings: Settings) -> None:
    with pytest.raises(VaultStoreError):
        open_to_read(settings, KEYS)
    assert list(settings.home.iterdir()) == []
    Vault.open(settings, KEYS).close()
    open_to_read(settings, KEYS).close()


@pytest.mark.parametrize(
    "other",
    [Keys(MasterKeys([MasterKey(bytes(32))]), KEYS.token), Keys(KEYS.masters, TokenKey(bytes(32)))],
    ids=["master", "token"],
)
def test_other_keys_than_the_vaults_are_refused(
    settings: Settings, vault: Vault, other: Keys
) -> None:
    with pytest.raises(KeyLoadingError, match=r"the vault (needs master|was made with token)"):
        open_to_read(settings, other)


async def test_a_role_that_may_only_select_is_enough(postgres_database: str) -> None:
    settings = Settings.model_validate({"vault_url": postgres_database})
    vault = Vault.open(settings, KEYS)
    key = await vault.data_key(*ANNA)
    parts = urlsplit(postgres_database)
    role = f"reader_of_{parts.path[1:]}"
    with psycopg.connect(postgres_database, autocommit=True) as owner:
        name = sql.Identifier(role)
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(name))
        tables = sql.SQL("GRANT SELECT ON data_keys, installation, schema_version TO {}")
        owner.execute(tables.format(name))
        try:
            url = parts._replace(netloc=f"{role}:secret@{parts.netloc.rpartition('@')[2]}").geturl()
            reader = open_to_read(Settings.model_validate({"vault_url": url}), KEYS)
            assert await reader.existing_keys([ANNA]) == {ANNA: key}
            reader.close()
        finally:
            owner.execute(sql.SQL("DROP OWNED BY {}").format(name))
            owner.execute(sql.SQL("DROP ROLE {}").format(name))
            vault.close()


def test_a_file_on_sqlite_is_opened_for_reading(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    Vault.open(settings, KEYS).close()
    reader = open_to_read(settings, KEYS)
    with pytest.raises(VaultStoreError):
        reader._store._run(lambda db: db.execute("DELETE FROM installation"))
    reader.close()
    Vault.open(settings, KEYS).close()
