"""Putting a backup in the place of what is there, and beginning the epoch that tells so.

All is made ready beside what is there, which a crash leaves as it is. Then the plan is written
down, and from that moment no process starts on the home before all of it is in place.
"""

import shutil
import sqlite3
from collections.abc import Iterator, Set
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from eventsourcing.persistence import PersistenceError

from device_ledger.backup.backup import EVENTS, KEYS, POINTER, READ_MODELS, TREES, Show
from device_ledger.backup.files import copy_file, make_folders, sync_all
from device_ledger.backup.manifest import LEDGER, VAULT, BackupError, Manifest, check, read_manifest
from device_ledger.backup.plan import FOLDER, Plan, finish
from device_ledger.durable import sync
from device_ledger.ledger.cutting import cut_copy
from device_ledger.ledger.epochs import begin_epoch
from device_ledger.ledger.ledger import EventStore, utc_now
from device_ledger.ledger.stores import Identity
from device_ledger.migrating import migrate
from device_ledger.settings import Settings
from device_ledger.vault.store import VaultStoreError
from device_ledger.vault.stores import open_store


@dataclass(frozen=True)
class Wanted:
    """What is to be restored: folders of backups, and where to cut the events off (an id, or a
    recorded time). ``read_models`` may be left out: they are built anew then."""

    ledger: Path | None
    vault: Path | None
    until: int | str | None = None
    read_models: bool = True


@dataclass(frozen=True)
class Restored:
    """What the event store is now: its epoch, and the id of its last event before that."""

    epoch: int
    last_id: int


def identity_of(path: Path) -> Identity | None:
    """Which ledger a file holds; ``None`` where there is none or it can't be read."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as database:
            query = "SELECT ledger_id, epoch, partitions FROM ledger_identity"
            return Identity(*database.execute(query).fetchone())
    except sqlite3.Error:
        return None


def restore(settings: Settings, wanted: Wanted, seen_epoch: int, show: Show) -> Restored | None:
    """Put backups in place; what the event store is now, where it was restored. Whoever calls holds
    the locks of the home. ``seen_epoch`` is the newest that was seen elsewhere.

    Raises:
        BackupError: a backup is damaged or not this ledger's; what is there is as it was.
        SchemaError: it was made by a newer version.
    """
    home = settings.home
    ready = home / FOLDER
    with _told():
        shutil.rmtree(ready, ignore_errors=True)
        ready.mkdir(mode=0o700, parents=True)
    done = None
    names = []
    if wanted.ledger is not None:
        names += _ready_ledger(home, wanted, show)
    if wanted.vault is not None:
        names += _ready(home, wanted.vault, read_manifest(wanted.vault, VAULT), show)
    with _told():
        migrate(_at(ready))
    if EVENTS in names:
        done = _ready_epoch(home, wanted, seen_epoch)
    with _told():
        if wanted.vault is not None:
            _leave_generations_out(_at(ready))
        _settle(ready)
        gone = _pointers(home, names) if wanted.ledger is not None else []
        kept = f"ledger/replaced-{utc_now().replace(':', '').replace('.', '')}"
        Plan(names, [EVENTS], kept, gone).write(home)
        finish(home)
    return done


def _ready_ledger(home: Path, wanted: Wanted, show: Show) -> list[str]:
    assert wanted.ledger is not None  # noqa: S101 - asked for by the caller
    manifest = read_manifest(wanted.ledger, LEDGER)
    there = identity_of(home / EVENTS)
    if there is not None and there.ledger_id != manifest.ledger_id:
        raise BackupError(
            f"{home} holds another ledger ({there.ledger_id}) than the backup"
            f" ({manifest.ledger_id}): move it away first"
        )
    # Checkpoints that were signed since the backup are evidence: the relay takes them up again.
    without = {TREES} if (home / TREES).exists() else set()
    if wanted.until is not None or not wanted.read_models:
        without |= {name for name in manifest.files if name.startswith(f"{READ_MODELS}/")}
    return _ready(home, wanted.ledger, manifest, show, without)


def _ready(
    home: Path,
    source: Path,
    manifest: Manifest,
    show: Show,
    without: Set[str] = frozenset(),
) -> list[str]:
    """Copy the files of a backup, and make sure of each copy; their names, pointers last."""
    ready = home / FOLDER
    names = sorted(manifest.files.keys() - without, key=lambda name: name.endswith(POINTER))
    with _told():
        for name in names:
            make_folders((ready / name).parent, ready)
            size = (source / name).stat().st_size
            show(name, 0, size)
            copy_file(source / name, ready / name)
            check(ready / name, manifest.files[name])
            show(name, size, size)
    return names


def _ready_epoch(home: Path, wanted: Wanted, seen_epoch: int) -> Restored:
    ready = home / FOLDER
    there = identity_of(home / EVENTS)
    with _told():
        if wanted.until is not None:
            cut_copy(ready / EVENTS, wanted.until)
        events = EventStore.open(_at(ready))
        try:
            last_id = events.store.max_notification_id() or 0
            newest = max(events.identity.epoch, seen_epoch, there.epoch if there else 0)
            begin_epoch(events, newest + 1, "restored from a backup", utc_now())
        finally:
            events.close()
    return Restored(newest + 1, last_id)


def begin_in_place(settings: Settings, seen_epoch: int) -> Restored:
    """Begin an epoch in a store that other means have put in place.

    Raises:
        BackupError: the store can't be used.
        StoreRefusedError: there is none, or other processes use it.
    """
    if not settings.event_store_url.get_secret_value() and not (settings.home / EVENTS).exists():
        raise BackupError(f"there is no event store {settings.home / EVENTS}")
    with _told():
        events = EventStore.open(settings)
        try:
            last_id = events.store.max_notification_id() or 0
            epoch = max(events.identity.epoch, seen_epoch) + 1
            begin_epoch(events, epoch, "put in place by other means", utc_now())
        finally:
            events.close()
        if settings.vault_url.get_secret_value() or (settings.home / KEYS).exists():
            _leave_generations_out(settings)
    return Restored(epoch, last_id)


def _leave_generations_out(settings: Settings) -> None:
    """Let no key that the vault makes be taken for one that the restore has lost."""
    vault = open_store(settings)
    try:
        vault.create_tables()
        vault.raise_first_generation()
    except VaultStoreError as error:
        raise BackupError(str(error)) from error
    finally:
        vault.close()


def _at(home: Path) -> Settings:
    return Settings(home=home, event_store_url="", vault_url="", read_models_url="")


def _settle(ready: Path) -> None:
    """Leave nothing beside the databases, and all of it on the disk."""
    for database in ready.rglob("*.db"):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
        sync(database)
    for lock in ready.rglob("*.lock"):
        lock.unlink()
    sync_all(ready)


def _pointers(home: Path, names: list[str]) -> list[str]:
    """The pointers of read models that have no successor: they tell of what may be lost."""
    found = [path.relative_to(home).as_posix() for path in home.glob(f"{READ_MODELS}/*/{POINTER}")]
    return [name for name in found if name not in names]


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackupError(f"the restore can't be done: {error.strerror}") from error
    except (sqlite3.Error, PersistenceError) as error:
        raise BackupError(f"the restore can't be done: {error}") from error
