"""Taking a backup: each database as it is at one moment, the later ones of a later moment.

Read models come first, then the trees, then the event store: what is made from events never knows
of one that the copy of the store lacks. The vault comes last and into a folder of its own: a key
that no event needs does no harm, an event whose key is missing can't be opened.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import orjson

from device_ledger import __version__
from device_ledger.backup.files import copy_database, digest, make_folders, sync_all
from device_ledger.backup.manifest import LEDGER, VAULT, BackupError, Manifest, check
from device_ledger.durable import sync
from device_ledger.ledger.ledger import utc_now
from device_ledger.settings import Settings
from device_ledger.wire.events import EVENT_TYPES

EVENTS: Final = "ledger/events.db"
TREES: Final = "log/tree.db"
KEYS: Final = "vault/vault.db"
READ_MODELS: Final = "read-models"
POINTER: Final = "live"

Show = Callable[[str, int, int], None]
"""Told the file that is copied, the bytes done so far, and how many there are."""


def back_up_ledger(settings: Settings, into: Path, show: Show, *, read_models: bool = True) -> Path:
    """Copy the event store, the trees and the read models; the folder of the copy.

    Raises:
        BackupError: there is no event store below the home, or the copy can't be written.
    """
    home = settings.home
    if settings.event_store_url.get_secret_value():
        raise BackupError(
            "the event store is in PostgreSQL: back it up with PostgreSQL's own tools"
            " (deploy/postgres, docs/operations.md)"
        )
    wanted = [name for name in (TREES, EVENTS) if (home / name).exists()]
    if EVENTS not in wanted:
        raise BackupError(f"there is no event store {home / EVENTS}")

    def copy(draft: Path) -> Iterator[str]:
        if read_models and not settings.read_models_url.get_secret_value():
            yield from _copy_read_models(home, draft, show)
        for name in wanted:
            yield from _copy(home, draft, name, show)

    return _take(LEDGER, into, copy, show)


def back_up_vault(settings: Settings, into: Path, show: Show) -> Path:
    """Copy the vault; the folder of the copy.

    Raises:
        BackupError: there is no vault below the home, or the copy can't be written.
    """
    if settings.vault_url.get_secret_value():
        raise BackupError(
            "the vault is in PostgreSQL: back it up with PostgreSQL's own tools"
            " (deploy/postgres, docs/operations.md)"
        )
    if not (settings.home / KEYS).exists():
        raise BackupError(f"there is no vault {settings.home / KEYS}")
    return _take(VAULT, into, lambda draft: _copy(settings.home, draft, KEYS, show), show)


def _take(kind: str, into: Path, copy: Callable[[Path], Iterator[str]], show: Show) -> Path:
    taken_at = utc_now()
    stamp = taken_at.replace("-", "").replace(":", "").replace(".", "")
    done = into / f"{kind}-{stamp}"
    draft = into / f".draft-{kind}-{stamp}"
    try:
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        names = list(copy(draft))
        files = {name: digest(draft / name) for name in names}
        sizes = {name: (draft / name).stat().st_size for name in files}
        checked = 0
        for name, expected in files.items():
            show(f"the {kind}, checked", checked, sum(sizes.values()))
            check(draft / name, expected)
            checked += sizes[name]
        show(f"the {kind}, checked", checked, checked)
        manifest = Manifest(kind, __version__, taken_at, files)
        _describe(manifest, draft).write(draft)
        sync_all(draft)
        draft.rename(done)
        sync(into)
    except OSError as error:
        raise BackupError(f"the backup can't be written: {error.strerror}") from error
    except sqlite3.Error as error:
        raise BackupError(f"the backup can't be made: {error}") from error
    finally:
        # What was moved into place is no longer there.
        shutil.rmtree(draft, ignore_errors=True)
    return done


def _copy(home: Path, draft: Path, name: str, show: Show) -> Iterator[str]:
    make_folders((draft / name).parent, draft)
    copy_database(home / name, draft / name, lambda done, total: show(name, done, total))
    yield name


def _copy_read_models(home: Path, draft: Path, show: Show) -> Iterator[str]:
    for pointer in sorted((home / READ_MODELS).glob(f"*/{POINTER}")):
        model = f"{READ_MODELS}/{pointer.parent.name}"
        name = f"{model}/{pointer.read_text()}.db"
        while True:
            try:
                yield from _copy(home, draft, name, show)
            except sqlite3.OperationalError:
                # A rebuild put another generation in its place, and removed this one.
                (draft / name).unlink(missing_ok=True)
                before, name = name, f"{model}/{pointer.read_text()}.db"
                if name == before:
                    raise
            else:
                break
        (draft / model / POINTER).write_text(Path(name).stem)
        sync(draft / model / POINTER)
        yield f"{model}/{POINTER}"


def _describe(manifest: Manifest, draft: Path) -> Manifest:
    if manifest.kind != LEDGER:
        return manifest
    address = f"{(draft / EVENTS).resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as database:
        ledger_id, epoch = database.execute(
            "SELECT ledger_id, epoch FROM ledger_identity"
        ).fetchone()
        last = database.execute(
            f"SELECT state FROM stored_events WHERE topic IN ({', '.join('?' * len(EVENT_TYPES))})"
            " ORDER BY rowid DESC LIMIT 1",
            EVENT_TYPES,
        ).fetchone()
        [last_id] = database.execute("SELECT coalesce(max(rowid), 0) FROM stored_events").fetchone()
    at = orjson.loads(last[0])["time"] if last else ""
    return replace(manifest, ledger_id=ledger_id, epoch=epoch, last_id=last_id, last_at=at)
