"""What the stores need of a server: that it is real, fresh for each test, and can do trigrams."""

import psycopg

from tests.conftest import AnyStore


def test_a_database_is_empty_and_has_trigrams(postgres_database: str) -> None:
    with psycopg.connect(postgres_database) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
        connection.execute("CREATE EXTENSION pg_trgm")
        alike = connection.execute("SELECT 'device' % 'devise'").fetchone()
        connection.execute("CREATE TABLE left_behind (id int)")
    assert (tables, alike) == ((0,), (True,))


def test_each_store_has_a_home_of_its_own(any_store: AnyStore) -> None:
    assert list(any_store.home.iterdir()) == []
    assert any_store.url == "" or any_store.url.startswith("postgresql://")
