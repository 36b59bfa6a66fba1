"""Pages of one customer's links: in the order of the bank's list, and found by customer alone."""

import sqlite3
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest

from projections.links import queries as links
from projections.links.apply import MODEL as LINKS
from projections.links.queries import Filter, Sort
from projections.model import Position
from projections.readers import ReadModels, Shown, Statement
from projections.sqlite_reader import _translated, _values
from tests.samples import events
from tests.support.projecting import PARTITIONS, Projecting

OWN = Filter(events.BANK, customer_id="customer-own")
RECORDS = events.on_partitions(
    [
        events.linked(
            number + 1,
            device=f"device-{number:03}",
            customerId="customer-own" if number % 3 else f"customer-{number}",
            linkedAt=events.at(number // 4),
        )
        for number in range(90)
    ],
    PARTITIONS,
)


@pytest.fixture
async def models(projecting: Projecting) -> AsyncIterator[ReadModels]:
    """Readers of a read model that holds all records."""
    async with projecting.reading(RECORDS) as opened:
        yield opened


@pytest.mark.parametrize("sort", ["linked_at", "customer_id"])
@pytest.mark.parametrize("descending", [True, False])
async def test_they_follow_each_other_by_cursor_as_by_offset(
    models: ReadModels, sort: Sort, descending: bool
) -> None:
    asked: dict[str, Any] = {"sort": sort, "descending": descending}
    rows = (await links.page(models, OWN, **asked, limit=100)).value.links
    assert {row.customer_id for row in rows} == {"customer-own"}
    assert len(rows) == 60
    assert rows == sorted(
        rows, key=lambda row: (getattr(row, sort), row.device_token), reverse=descending
    )
    by_offset, by_cursor, after = [], [], None
    for number in range(9):
        page = (await links.page(models, OWN, **asked, limit=7, offset=7 * number)).value
        by_offset += page.links
        page = (await links.page(models, OWN, **asked, limit=7, after=after)).value
        by_cursor += page.links
        assert page.total == 60
        after = (getattr(page.links[-1], sort), page.links[-1].device_token)
    assert by_offset == by_cursor == rows


class Listening:
    """Readers that keep what they are asked, and find nothing."""

    engine: Literal["sqlite", "postgresql"] = "sqlite"

    def __init__(self) -> None:
        self.asked: list[Statement] = []

    async def read(self, model: str, *statements: Statement, slow: bool = False) -> Shown[Any]:
        """Nothing, and that it is none."""
        assert (model, slow) == (LINKS.name, False)
        self.asked += statements
        return Shown([[], [[0]]], {})

    async def wait_for(self, model: str, position: Position, within: float) -> bool:
        """It never waits."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("sort", ["linked_at", "customer_id"])
@pytest.mark.parametrize("after", [None, ("customer-own", "device-010")])
async def test_the_rest_of_the_bank_is_not_looked_at(
    sort: Sort, after: tuple[str, str] | None
) -> None:
    """By a cursor, SQLite would rather walk through all of the bank's links from there on."""
    listening = Listening()
    await links.page(listening, OWN, sort=sort, limit=20, after=after)
    connection = sqlite3.connect(":memory:")
    connection.executescript(LINKS.schema("sqlite"))
    for sql, values in listening.asked:
        explained = connection.execute(f"EXPLAIN QUERY PLAN {_translated(sql)}", _values(values))
        looks = {detail for *_, detail in explained if " links " in detail}
        assert looks - {"SEARCH links USING INTEGER PRIMARY KEY (rowid=?)"} == {
            "SEARCH links USING COVERING INDEX links_by_customer (bank_id=? AND customer_id=?)"
        }
