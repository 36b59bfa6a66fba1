"""``device-ledger keys``: which keys there are, and exchanging the master key and the log key."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from device_ledger.cli.errors import USAGE, CliError

if TYPE_CHECKING:
    from pathlib import Path

    from device_ledger.settings import Settings
    from device_ledger.vault.keys import Keys
    from device_ledger.vault.rotation import Rotated
    from device_ledger.vault.store import Store

keys = typer.Typer(
    no_args_is_help=True,
    help="Show which keys there are, and exchange the master key and the log key.",
)


class Exchangeable(StrEnum):
    """The keys that another may follow."""

    master = "master"
    log = "log"


@keys.command("list")
def list_() -> None:
    """Show the master keys and the token key by their IDs, and what each master key wraps.

    Compare the IDs with those of the copies that you keep. The log key is shown by
    `device-ledger log key`.
    """
    from device_ledger.keyfile import KeyLoadingError
    from device_ledger.settings import settings
    from device_ledger.vault.keys import load_keys
    from device_ledger.vault.store import VaultStoreError

    try:
        loaded = load_keys(settings())
        _show(settings(), loaded)
    except (KeyLoadingError, VaultStoreError) as error:
        raise CliError(str(error)) from error


@keys.command()
def add(
    which: Annotated[Exchangeable, typer.Argument(help="The key that is to be exchanged.")],
) -> None:
    """Add a new random key to the file of the one that is used, behind it: an exchange begins.

    Processes that read the file know both from then on. Next is, for the master key,
    `device-ledger keys rotate-master`; for the log key, a restart of the relay and the API: the
    relay signs over to the new key with its next checkpoint. A key that stands in the environment
    is added there by hand, behind the old one and a comma: head -c 32 /dev/urandom | base64
    """
    from device_ledger.keyfile import KeyLoadingError, add_key
    from device_ledger.settings import settings

    file = _file_of(settings(), which)
    try:
        add_key(file, which)
    except KeyLoadingError as error:
        raise CliError(str(error)) from error
    typer.echo(f"{file} holds a second {which} key now. Copy it to where you keep the first one.")


@keys.command()
def rotate_master() -> None:
    """Wrap all data keys of the vault by the newest master key, while everything serves.

    Every process that opens the vault must have both master keys before: in the one file, a line
    each (`device-ledger keys add master`; processes find it by themselves), or in the environment
    with a comma between (restart them with it). The newest is the last. It may be stopped or
    killed at any moment: run it again, and it goes on. Afterwards take the old key out of the file
    or the environment, and keep it for as long as you keep backups of the vault from before.

    Exit code 0: all is wrapped by the newest key, or was before; 1: it is not.
    """
    from device_ledger.keyfile import KeyLoadingError
    from device_ledger.settings import settings
    from device_ledger.vault.keys import load_keys
    from device_ledger.vault.rotation import NothingToRotateError
    from device_ledger.vault.store import VaultStoreError

    try:
        done = _rotate(settings(), load_keys(settings()))
    except NothingToRotateError as error:
        typer.echo(f"Nothing to do: {error}.")
        return
    except (KeyLoadingError, VaultStoreError) as error:
        raise CliError(str(error)) from error
    typer.echo(
        f"{done.count:,} data keys were wrapped anew: by master key {done.new} instead of"
        f" {done.old}, which opens backups from before and nothing else."
    )


def _rotate(settings: Settings, loaded: Keys) -> Rotated:
    from contextlib import closing

    from device_ledger.cli.progress import records_progress
    from device_ledger.vault.rotation import rotate
    from device_ledger.vault.stores import open_store

    with closing(_opened(open_store(settings), settings)) as store, records_progress() as progress:
        task = progress.add_task("data keys", total=sum(store.wrapped_by().values()))
        return rotate(store, loaded.masters, lambda rows: progress.advance(task, rows))


def _opened(store: Store, settings: Settings) -> Store:
    """The store where there is one: this is no command that makes a vault."""
    path = settings.home / "vault" / "vault.db"
    if not settings.vault_url.get_secret_value() and not path.exists():
        raise CliError(f"there is no vault {path}")
    return store


def _show(settings: Settings, loaded: Keys) -> None:
    from contextlib import closing

    from rich.console import Console
    from rich.table import Table

    from device_ledger.vault.stores import open_store

    table = Table("key", "id", "use")
    with closing(_opened(open_store(settings), settings)) as store:
        wraps = store.wrapped_by()
    for key_id in dict.fromkeys([*wraps, *loaded.masters.ids]):
        given = "" if key_id in loaded.masters.ids else ", and is not given here"
        table.add_row("master", key_id, f"wraps {wraps.get(key_id, 0):,} data keys{given}")
    table.add_row("token", loaded.token.id, "makes all tokens; never exchanged")
    Console().print(table)


def _file_of(settings: Settings, which: Exchangeable) -> Path:
    from device_ledger.keyfile import key_path, setting_of

    text, file = {
        Exchangeable.master: (settings.master_key, settings.master_key_file),
        Exchangeable.log: (settings.log_key, settings.log_key_file),
    }[which]
    if text.get_secret_value():
        raise CliError(
            f"{setting_of(which)} gives the {which} key, and not a file: add one to it by hand,"
            " behind the first and a comma (head -c 32 /dev/urandom | base64)",
            USAGE,
        )
    return file or key_path(settings.home, which)
