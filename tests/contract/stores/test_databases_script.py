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


def test_each_owner_may_make_tables_and_extensions_in_the_own_database(
    databases: dict[str, str],
) -> None:
    for url in databases.values():
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (id BIGINT)")
            connection.execute("CREATE EXTENSION pg_trgm SCHEMA public")


def test_nobody_reaches_anothers_database(databases: dict[str, str]) -> None:
    foreign = databases["read_models"].removesuffix("read_models") + "vault"
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(foreign)
