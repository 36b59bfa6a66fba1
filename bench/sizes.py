"""What a lookup, a page, a search and a command cost at ten thousand links and at ten million.

Rounds of the sizes come in turns; each size's are compared with the smallest one's. The populations
are kept (``bench.populations``). Queries are those that the API makes, without HTTP: what comes
around them (token, opening what is sealed, access record) knows nothing of the number of links.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Final, Literal
from urllib.parse import urlsplit

import psutil
import psycopg
from psycopg import sql
from pydantic import SecretStr

from bench import links as commands
from bench.ledgers import multiply
from bench.loading import load
from bench.plot import write_plot
from bench.populations import (
    BANK,
    BRAND,
    EACH,
    Rows,
    cache_folder,
    device_token,
    linked,
    linked_at,
    person,
)
from bench.report import Row
from bench.system import cpu_seconds
from device_ledger.ledger.group_commit import BATCH_MAX
from device_ledger.settings import Settings
from projections.links import queries as links
from projections.links.apply import MODEL as LINKS
from projections.links.queries import Filter, Search
from projections.lookup import queries as lookup
from projections.lookup.apply import MODEL as LOOKUP
from projections.readers import ReadModels, open_read_models
from projections.store import open_store
from tests.support.postgres import postgres_in

SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
QUICK: Final = SIZES[:2]
ROUNDS: Final = 5
GOAL: Final = 1.5
PAGE: Final = 20
DRAWN: Final = 1_000
"""Devices that are asked for: the same number at each size, so that as much is warm."""
COMMANDS: Final = 500
PLOT: Final = Path(__file__).parents[1] / "docs" / "sizes.svg"
_SERVER: Final = "-c max_connections=50 -c shared_buffers=512MB -c max_wal_size=4GB"

Store = Literal["SQLite", "PostgreSQL"]
Ask = Callable[[ReadModels, int], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    """A query, asked so many times a round, about the devices of these numbers."""

    name: str
    times: int
    ask: Ask


def _page(models: ReadModels, asked: Filter, after: int | None = None) -> Awaitable[object]:
    cursor = None if after is None else (linked_at(after), device_token(after))
    return links.page(models, asked, limit=PAGE + 1, after=cursor)


def _searched(text: str) -> Filter:
    return Filter(BANK, search=Search(text, "no device", "no phrase"))


CASES: Final = (
    Case("lookup", 2_000, lambda models, number: lookup.find(models, device_token(number))),
    Case("first page", 400, lambda models, _: _page(models, Filter(BANK))),
    Case("deep page", 400, lambda models, number: _page(models, Filter(BANK), number)),
    Case(
        "search for a customer",
        60,
        lambda models, number: _page(models, _searched(person(number // EACH).customer_id[:12])),
    ),
    Case("search that finds all", 6, lambda models, _: _page(models, _searched(BRAND))),
)
COMMAND: Final = "link command"


@dataclass(frozen=True)
class Population:
    """So many links on a store; ``server`` is the database server's process."""

    store: Store
    size: int
    settings: Settings
    server: psutil.Process | None


class Table:
    """The rows: CPU and wall time of each case at each size, beside the smallest size's."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, Store, int, str], Row] = {}

    def add(self, case: str, at: Population, cpu_us: float, wall_us: float) -> None:
        """Take one round's microseconds an operation."""
        for kind, value in (("CPU", cpu_us), ("wall", wall_us)):
            key = (case, at.store, at.size, kind)
            if key not in self.rows:
                name = f"{case}, {at.store}, {at.size:,} links: {kind} each"
                self.rows[key] = Row(name, "µs", "lower", goal=GOAL)
            self.rows[key].rounds.ours.append(value)

    def compared(self) -> list[Row]:
        """All rows, each with the rounds of the smallest size as its reference."""
        for (case, store, _, kind), row in self.rows.items():
            smallest = self.rows[case, store, SIZES[0], kind]
            row.rounds.reference = list(smallest.rounds.ours)
        return list(self.rows.values())

    def lines(self) -> dict[str, list[tuple[float, float]]]:
        """Median CPU microseconds against size, a line for each case and store."""
        found: dict[str, list[tuple[float, float]]] = {}
        for (case, store, size, kind), row in sorted(
            self.rows.items(), key=lambda item: (item[0][1] != "SQLite", item[0][2])
        ):
            if kind == "CPU":
                found.setdefault(f"{case}, {store}", []).append((size, median(row.rounds.ours)))
        return found


def measure(begin: Callable[[str], None], step: Callable[[], None], full: bool) -> list[Row]:
    """Make what isn't there, measure in turns, and draw the plot of cost against size.

    ``step`` is called after each population made and each round.
    """
    sizes = SIZES if full else QUICK
    table = Table()
    with _populations(sizes) as populations:
        for at in populations:
            begin(f"{at.size:,} links on {at.store}")
            _populate(at)
            step()
        for store in ("SQLite", "PostgreSQL"):
            these = [at for at in populations if at.store == store]
            begin(f"costs by size on {store}")
            asyncio.run(_measure_queries(these, table, step))
            begin(f"commands by size on {store}")
            _measure_commands(these, table, step)
    write_plot(PLOT, "CPU time against size", "links", "µs each", table.lines())
    return table.compared()


@contextmanager
def _populations(sizes: tuple[int, ...]) -> Iterator[list[Population]]:
    folder = cache_folder()
    with postgres_in(folder / "postgres", _SERVER) as server:
        with psycopg.connect(server, autocommit=True) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
            assert row is not None
            pid = int(Path(row[0], "postmaster.pid").read_text().split()[0])
            there = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
            for size in sizes:
                if f"links_{size}" not in there:
                    name = sql.Identifier(f"links_{size}")
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        found = [
            Population("SQLite", size, Settings(home=folder / f"links-{size}"), None)
            for size in sizes
        ]
        for size in sizes:
            url = SecretStr(urlsplit(server)._replace(path=f"/links_{size}").geturl())
            home = folder / f"links-{size}-postgres"
            chosen = Settings(home=home, event_store_url=url, read_models_url=url)
            found.append(Population("PostgreSQL", size, chosen, psutil.Process(pid)))
        yield found


def _populate(at: Population) -> None:
    """Fill what isn't there, or whose tables are not today's."""
    store = open_store(at.settings)
    for model in (LOOKUP, LINKS):
        if store.live(model) is None:
            load(at.settings, model, Rows(model, linked(at.size)))
    multiply(at.settings, at.size)


async def _measure_queries(
    populations: list[Population], table: Table, step: Callable[[], None]
) -> None:
    random = Random(1)
    async with AsyncExitStack() as stack:
        opened = []
        for at in populations:
            models = await open_read_models(at.settings)
            stack.push_async_callback(models.close)
            opened.append((at, models, [random.randrange(at.size) for _ in range(DRAWN)]))
            for case in CASES:
                await _ask(case, models, opened[-1][2], DRAWN if case.times > DRAWN else 10)
        for _ in range(ROUNDS):
            opened.reverse()
            for case in CASES:
                for at, models, drawn in opened:
                    cpu, begun = _cpu(at), time.perf_counter()
                    await _ask(case, models, drawn, case.times)
                    wall = (time.perf_counter() - begun) / case.times
                    table.add(case.name, at, (_cpu(at) - cpu) / case.times * 1e6, wall * 1e6)
            step()


async def _ask(case: Case, models: ReadModels, drawn: list[int], times: int) -> None:
    for number in range(times):
        await case.ask(models, drawn[number % DRAWN])


def _cpu(at: Population) -> float:
    """CPU seconds of this process and of the store's server."""
    return time.process_time() + (cpu_seconds(at.server) if at.server else 0.0)


def _measure_commands(
    populations: list[Population], table: Table, step: Callable[[], None]
) -> None:
    spawn = multiprocessing.get_context("spawn")
    for _ in range(ROUNDS):
        populations.reverse()
        for at in populations:
            pid = at.server.pid if at.server else None
            with ProcessPoolExecutor(1, mp_context=spawn) as process:
                turn = process.submit(commands.write, at.settings, COMMANDS, BATCH_MAX, pid)
                written = turn.result()
            table.add(COMMAND, at, written.cpu_us, 1e6 / written.rate)
        step()
