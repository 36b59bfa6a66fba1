"""Copies that are taken while the ledger is written to: of one moment, checked, whole or not."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from device_ledger.backup import backup
from device_ledger.backup.backup import back_up_ledger, back_up_vault
from device_ledger.backup.files import PAGES, copy_database, digest
from device_ledger.backup.manifest import LEDGER, VAULT, BackupError, check, read_manifest
from device_ledger.ledger.ledger import Ledger
from device_ledger.settings import Settings
from device_ledger.vault.keys import load_or_create_keys
from device_ledger.vault.vault import Vault
from tests.support.relaying import write


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    chosen = Settings(home=tmp_path / "home")
    load_or_create_keys(chosen.home)
    return chosen


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings)
    yield ledger
    ledger.close()


def rows(database: Path, table: str = "stored_events") -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        order = "rowid" if table == "stored_events" else "1"
        columns = "rowid, *" if table == "stored_events" else "*"
        return connection.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()


def silent(name: str, done: int, total: int) -> None:
    """Show no progress."""


def test_a_copy_under_load_is_of_one_moment_and_has_the_ids_of_the_events(
    ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    write(ledger, 3_000)
    before = len(rows(settings.home / "ledger" / "events.db"))
    ended = threading.Event()

    def load() -> None:
        while not ended.is_set():
            write(ledger, 20)

    steps = 0

    def count(name: str, done: int, total: int) -> None:
        nonlocal steps
        steps += 1
        # Each step of the copy has commits before and after it.
        write(ledger, 5)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        folder = back_up_ledger(settings, tmp_path / "backups", count)
    finally:
        ended.set()
        thread.join()
    copied = rows(folder / "ledger" / "events.db")
    now = rows(settings.home / "ledger" / "events.db")
    assert steps >= 2, f"{steps} steps of {PAGES} pages"
    assert before <= len(copied) < len(now)
    assert copied == now[: len(copied)]
    heads = rows(folder / "ledger" / "events.db", "partition_heads")
    ids = {row[0] for row in copied}
    assert {last_id for _, last_id in heads} <= ids
    manifest = read_manifest(folder, LEDGER)
    assert (manifest.ledger_id, manifest.epoch) == (ledger.identity.ledger_id, 1)
    assert manifest.last_id == copied[-1][0]
    assert manifest.last_at <= manifest.taken_at


def test_the_vault_is_copied_apart_and_the_events_hold_no_key(
    ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    write(ledger, 1)
    vault = Vault.open(settings, load_or_create_keys(settings.home))
    try:
        folder = back_up_ledger(settings, tmp_path / "backups", silent)
        apart = back_up_vault(settings, tmp_path / "apart", silent)
    finally:
        vault.close()
    assert set(read_manifest(folder, LEDGER).files) == {"ledger/events.db"}
    assert set(read_manifest(apart, VAULT).files) == {"vault/vault.db"}
    assert rows(apart / "vault" / "vault.db", "installation") == rows(
        settings.home / "vault" / "vault.db", "installation"
    )
    assert {path.stat().st_mode & 0o77 for path in [*folder.rglob("*"), *apart.rglob("*")]} == {0}


def test_the_live_generation_of_each_read_model_is_copied_with_its_pointer(
    ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    lookup = settings.home / "read-models" / "lookup"
    lookup.mkdir(parents=True)
    for name in ("g1_a", "g2_a"):
        with closing(sqlite3.connect(lookup / f"{name}.db")) as database:
            database.execute(f"CREATE TABLE {name} (x)")
    (lookup / "live").write_text("g2_a")
    folder = back_up_ledger(settings, tmp_path / "backups", silent)
    copied = sorted(path.name for path in (folder / "read-models" / "lookup").iterdir())
    assert copied == ["g2_a.db", "live"]
    without = back_up_ledger(settings, tmp_path / "without", silent, read_models=False)
    assert not (without / "read-models").exists()


def test_a_damaged_copy_is_found_by_its_checksum_and_a_damaged_database_by_sqlite(
    ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    write(ledger, 50)
    folder = back_up_ledger(settings, tmp_path / "backups", silent)
    path = folder / "ledger" / "events.db"
    kept = read_manifest(folder, LEDGER).files["ledger/events.db"]
    check(path, kept)
    page = bytearray(path.read_bytes())
    page[8192:8200] = b"\xff" * 8
    path.write_bytes(page)
    with pytest.raises(BackupError, match="SHA-256"):
        check(path, kept)
    with pytest.raises(BackupError, match="integrity check"):
        check(path, digest(path))


def test_a_backup_that_fails_leaves_no_folder(
    ledger: Ledger, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path, report: object) -> None:
        copy_database(source, target, lambda done, total: None)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "copy_database", fail)
    with pytest.raises(BackupError, match="No space left"):
        back_up_ledger(settings, tmp_path / "backups", silent)
    assert list((tmp_path / "backups").iterdir()) == []


def test_what_is_no_backup_of_that_kind_is_refused(
    ledger: Ledger, settings: Settings, tmp_path: Path
) -> None:
    folder = back_up_ledger(settings, tmp_path / "backups", silent)
    with pytest.raises(BackupError, match="not of the vault"):
        read_manifest(folder, VAULT)
    with pytest.raises(BackupError, match="is no backup"):
        read_manifest(tmp_path, LEDGER)
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"format": 1', '"format": 2'))
    with pytest.raises(BackupError, match="of format 2"):
        read_manifest(folder, LEDGER)


def test_what_is_in_postgresql_is_named_and_not_copied(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, event_store_url="postgresql://x", vault_url="postgresql://y")
    for take in (back_up_ledger, back_up_vault):
        with pytest.raises(BackupError, match="PostgreSQL's own tools"):
            take(settings, tmp_path / "backups", silent)
