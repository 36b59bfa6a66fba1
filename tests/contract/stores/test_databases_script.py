"""deploy/postgres/databases.sh on a real PostgreSQL: each store is reached by its owner alone."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.databases import deployed_databases


@pytest.fixture
def databases(postgres: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """URLs of the databases that the script makes."""
    with deployed_databases(postgres, tmp_path) as urls:
        yield urls


def owners(databases: dict[str, str]) -> list[str]:
    """The URLs of those who own a database."""
    return [url for role, url in databases.items() if role != "vault_reader"]


def test_each_owner_may_make_tables_and_schemas_in_the_own_database(
    databases: dict[str, str],
) -> None:
    for url in owners(databases):
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (id BIGINT)")
            connection.execute("CREATE SCHEMA made")


def test_nobody_reaches_anothers_database(databases: dict[str, str]) -> None:
    foreign = databases["read_models"].removesuffix("read_models") + "vault"
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(foreign)


def test_the_vaults_reader_may_read_what_its_owner_makes_and_do_nothing_else(
    databases: dict[str, str],
) -> None:
    with psycopg.connect(databases["vault"]) as owner:
        owner.execute("CREATE TABLE kept (id BIGINT)")
    with psycopg.connect(databases["vault_reader"], autocommit=True) as reader:
        assert reader.execute("SELECT * FROM kept").fetchall() == []
        for statement in (
            "INSERT INTO kept VALUES (1)",
            "UPDATE kept SET id = 1",
            "DELETE FROM kept",
            "TRUNCATE kept",
            "CREATE TABLE mine (id BIGINT)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)
    elsewhere = databases["vault_reader"].removesuffix("/vault") + "/events"
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(elsewhere)
