"""What the stores need of a server: that it is real, and fresh for each test."""

import tempfile
from pathlib import Path

import psycopg

from tests.conftest import AnyStore
from tests.support.postgres import postgres_in


def test_a_database_is_empty(postgres_database: str) -> None:
    with psycopg.connect(postgres_database) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
        connection.execute("CREATE TABLE left_behind (id int)")
    assert tables == (0,)


def test_each_store_has_a_home_of_its_own(any_store: AnyStore) -> None:
    assert list(any_store.home.iterdir()) == []
    assert any_store.url == "" or any_store.url.startswith("postgresql://")


def test_a_server_is_stopped_though_another_user_of_its_folder_was_killed() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        folder = Path(home) / "pgdata"
        with postgres_in(folder):
            assert (folder / "postmaster.pid").exists()
        (folder / ".handle_pids.json").write_text("[1]")
        with postgres_in(folder) as url, psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert not (folder / "postmaster.pid").exists()
