"""How we are connected to PostgreSQL: as the URL says, and soon again after it was away."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from device_ledger.ledger.ledger import EventStore
from device_ledger.postgres import RECONNECT_SECONDS, conninfo
from device_ledger.settings import Settings
from projections.postgres_reader import PostgresReadModels
from projections.readers import NotReadyError


def end_other_connections(url: str) -> None:
    """What a restart of the server does to whoever is connected."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_what_the_url_says_goes_before_our_own() -> None:
    ours = conninfo_to_dict(conninfo("postgresql://db/ledger"))
    theirs = conninfo_to_dict(conninfo("postgresql://db/ledger?tcp_user_timeout=0&sslmode=require"))
    assert ours["tcp_user_timeout"] == "10000"
    assert theirs == ours | {"tcp_user_timeout": "0", "sslmode": "require"}


def test_the_event_stores_pool_gives_no_lost_connection_more_than_seconds(
    postgres_database: str, tmp_path: Path
) -> None:
    url = f"{postgres_database}?application_name=reviewed"
    events = EventStore.open(Settings(home=tmp_path, event_store_url=SecretStr(url)))
    datastore = events.factory.datastore  # type: ignore[attr-defined]
    with datastore.get_connection() as connection:
        parameters = connection.info.get_parameters()
    events.close()
    assert parameters["application_name"].startswith("reviewed ")
    assert parameters["tcp_user_timeout"] == "10000"
    assert datastore.pool.reconnect_timeout == RECONNECT_SECONDS


def test_a_store_that_is_opened_waits_for_no_commit(postgres_database: str, tmp_path: Path) -> None:
    url = f"{postgres_database}?options=-c%20lock_timeout%3D1ms"
    settings = Settings(home=tmp_path, event_store_url=SecretStr(url))
    EventStore.open(settings).close()
    # As a commit that has written its receipts, and is asked to wait for what the opening holds.
    with psycopg.connect(postgres_database) as committing:
        committing.execute("INSERT INTO receipts VALUES ('r', '', '', '')")
        EventStore.open(settings).close()


@pytest.mark.parametrize("_", range(3))
def test_a_new_store_is_opened_by_many_at_once(
    postgres_database: str, tmp_path: Path, _: int
) -> None:
    settings = Settings(home=tmp_path, event_store_url=SecretStr(postgres_database))
    openers = 8
    together = Barrier(openers)

    def opened(_: int) -> str:
        together.wait()
        events = EventStore.open(settings)
        events.close()
        return events.identity.ledger_id

    with ThreadPoolExecutor(openers) as threads:
        assert len(set(threads.map(opened, range(openers)))) == 1


async def test_a_read_after_a_restart_of_the_server_finds_it_again(postgres_database: str) -> None:
    models = await PostgresReadModels.open(postgres_database)
    try:
        with pytest.raises(NotReadyError, match="not built yet"):
            await models.read("lookup")
        end_other_connections(postgres_database)
        with pytest.raises(NotReadyError, match="not built yet"):
            await models.read("lookup")
    finally:
        await models.close()
