"""``device-ledger backup``: copies what is kept in SQLite, while it is in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from device_ledger.cli.errors import USAGE, CliError
from device_ledger.cli.progress import bytes_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


def backup(
    into: Annotated[
        Path, typer.Argument(help="Directory that gets a new folder with the copy in it.")
    ],
    vault: Annotated[
        Path | None,
        typer.Option(help="Also copy the vault, into a directory that is kept apart."),
    ] = None,
    read_models: Annotated[
        bool, typer.Option(help="Copy the read models too; without, they are built anew.")
    ] = True,
) -> None:
    """Copy the event store, its trees and the read models, while the ledger serves.

    Each copy is of one moment, checked and on the disk when the command ends; a folder is there
    whole or not at all. The vault goes to a directory of its own, since whoever has events, vault
    and master key can open everything. Keys are not copied: keep them by themselves. What is in
    PostgreSQL is backed up by PostgreSQL's own tools (docs/operations.md).

        device-ledger backup /backups/ledger --vault /vault-backups/ledger
    """
    from device_ledger.backup.backup import back_up_ledger, back_up_vault
    from device_ledger.backup.manifest import BackupError
    from device_ledger.settings import settings

    chosen = settings()
    if vault is not None and vault.resolve() == into.resolve():
        raise CliError("--vault names the same directory: a copy of the vault is kept apart", USAGE)
    try:
        with showing() as show:
            made = [back_up_ledger(chosen, into, show, read_models=read_models)]
            if vault is not None:
                made.append(back_up_vault(chosen, vault, show))
    except BackupError as error:
        raise CliError(str(error)) from error
    for folder in made:
        typer.echo(folder)
    if vault is None and not chosen.vault_url.get_secret_value():
        typer.echo("The vault was not copied: --vault DIR does so.", err=True)


def showing() -> AbstractContextManager[Callable[[str, int, int], None]]:
    """A bar for each file; a read model has one, and a pointer of a line, which has none."""
    from contextlib import contextmanager

    from device_ledger.backup.backup import POINTER, READ_MODELS

    @contextmanager
    def shown() -> Iterator[Callable[[str, int, int], None]]:
        tasks: dict[str, Any] = {}
        with bytes_progress() as progress:

            def show(name: str, done: int, total: int) -> None:
                folder, _, file = name.rpartition("/")
                if file == POINTER:
                    return
                if name not in tasks:
                    what = folder if folder.startswith(READ_MODELS) else name
                    tasks[name] = progress.add_task(what, total=total)
                progress.update(tasks[name], completed=done, total=total)

            yield show

    return shown()
