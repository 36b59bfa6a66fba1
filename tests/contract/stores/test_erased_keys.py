"""What is left of a data key that was deleted: nothing that opens, in the vault or beside it."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from device_ledger.settings import Settings
from device_ledger.vault import store, stores
from device_ledger.vault.connections import Connection
from device_ledger.vault.encoding import from_text
from device_ledger.vault.keys import Keys, MasterKey, MasterKeys
from device_ledger.vault.store import Store, VaultStoreError
from device_ledger.vault.stores import open_store
from device_ledger.vault.tables import Row
from device_ledger.vault.tokens import TokenKey
from device_ledger.vault.vault import Vault
from tests.support.crashing import Crash, crash_at
from tests.support.traces import files_below

KEYS = Keys(MasterKeys([MasterKey(bytes(range(32)))]), TokenKey(bytes(range(32))))
ANNA, BERT = ("bank-a", "anna"), ("bank-a", "bert")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def vault(settings: Settings) -> Iterator[Vault]:
    with closing(Vault.open(settings, KEYS)) as opened:
        yield opened


def row_of(settings: Settings, customer: tuple[str, str] = ANNA) -> Row:
    """A customer's key as it is stored."""
    with closing(open_store(settings)) as one:
        [row] = one.read([customer])
    return row


def places_of(row: Row, folder: Path) -> list[str]:
    """The files that have a wrapped key, whole or the half of it."""
    text = str(row.wrapped).encode()
    forms = [text, text[: len(text) // 2], text[len(text) // 2 :], from_text(text.decode())]
    return [
        place for place, content in files_below(folder) if any(form in content for form in forms)
    ]


async def test_it_lies_in_no_file_while_others_have_the_vault_open(
    settings: Settings, vault: Vault
) -> None:
    with closing(Vault.open(settings, KEYS)) as another:
        for number in range(50):
            await vault.data_key("bank-a", f"user-{number}")
        await another.data_key(*ANNA)
        await another.data_key(*BERT)
        row, stays = row_of(settings), row_of(settings, BERT)
        assert places_of(row, settings.home) != []
        await vault.erase(*ANNA, 1)
        assert places_of(row, settings.home) == []
        assert places_of(stays, settings.home) != []


async def test_it_is_in_no_copy_that_is_made_afterwards(settings: Settings, vault: Vault) -> None:
    await vault.data_key(*ANNA)
    await vault.data_key(*BERT)
    row = row_of(settings)
    await vault.erase(*ANNA, 1)
    copy = settings.home / "copy"
    copy.mkdir()
    path = settings.home / "vault" / "vault.db"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy / "db")) as target:
        source.backup(target)
    assert places_of(row, copy) == []
    assert places_of(row_of(settings, BERT), copy) != []


async def test_many_at_once_wait_for_each_other(settings: Settings) -> None:
    customers = [("bank-a", f"user-{number}") for number in range(40)]
    with ExitStack() as opened:
        vaults = [opened.enter_context(closing(Vault.open(settings, KEYS))) for _ in range(4)]
        for customer in customers:
            await vaults[0].data_key(*customer)
        for first in range(0, len(customers), len(vaults)):
            due = customers[first : first + len(vaults)]
            await asyncio.gather(
                *(vault.erase(*one, 1) for vault, one in zip(vaults, due, strict=True))
            )
    with closing(Vault.open(settings, KEYS)) as following:
        assert await following.existing_keys(customers) == {}


async def test_while_somebody_reads_on_it_is_not_over_and_is_once_they_end(
    settings: Settings, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "WAL_SECONDS", 0.05)
    await vault.data_key(*ANNA)
    row = row_of(settings)
    with (
        closing(open_store(settings)) as erasing,
        closing(sqlite3.connect(settings.home / "vault" / "vault.db")) as reader,
    ):
        erasing.connections.get().execute("PRAGMA busy_timeout = 10").fetchall()
        reading = reader.execute("SELECT * FROM data_keys")
        assert reading.fetchone() is not None
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM data_keys").fetchone()
        with pytest.raises(VaultStoreError, match="read without a pause"):
            erasing.erase(ANNA, 1)
        assert await vault.newest_generation(*ANNA) == 1
        reader.rollback()
        reading.close()
        erasing.erase(ANNA, 1)
        assert places_of(row, settings.home) == []


def test_a_store_is_closed_after_what_it_is_used_for(settings: Settings, vault: Vault) -> None:
    one, begun, closed = open_store(settings), threading.Event(), threading.Event()

    def use(db: Connection) -> bool:
        begun.set()
        was_closed = closed.wait(0.2)
        db.execute("SELECT count(*) FROM data_keys").fetchone()
        return was_closed

    def close() -> None:
        begun.wait()
        one.close()
        closed.set()

    with ThreadPoolExecutor(1) as threads:
        closing_it = threads.submit(close)
        assert not one._run(use)
        closing_it.result()
    assert closed.is_set()


async def test_a_deletion_that_ends_at_any_line_is_made_good_at_the_next_start(
    tmp_path: Path,
) -> None:
    line = crashes = 0
    while True:
        line += 1
        settings = Settings(home=tmp_path / str(line))
        with closing(Vault.open(settings, KEYS)) as made:
            await made.data_key(*ANNA)
            # As a process that is killed: its connections are not closed in order.
            row, one = row_of(settings), _opened(settings)
            try:
                with crash_at(line, store, stores) as at:
                    one.erase(ANNA, 1)
            except Crash:
                crashes += 1
            one.connections.abandon()
            # What an API does when it starts (`erasure.complete`).
            await asyncio.to_thread(made.erase_again, {ANNA: 1})
            await asyncio.to_thread(made.scrub)
            assert places_of(row, settings.home) == []
        with closing(Vault.open(settings, KEYS)) as following:
            assert (await following.data_key(*ANNA)).generation == 2
        if at.crashed_at is None:
            break
    assert crashes > 20


def _opened(settings: Settings) -> Store:
    """The store as another process has it open."""
    one = open_store(settings)
    one.read([ANNA])
    return one
