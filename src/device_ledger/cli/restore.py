"""``device-ledger restore``: puts a backup in place, and begins the epoch that tells so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from device_ledger.cli.backup import showing
from device_ledger.cli.errors import USAGE, CliError

if TYPE_CHECKING:
    from device_ledger.backup.restore import Restored, Wanted
    from device_ledger.settings import Settings

HELP: Final = """\
Put a backup in place of what is there, and begin a new epoch of the ledger.

Stop all processes first. Copies are checked before anything is replaced. A restore that is
interrupted leaves what was there, or is to be run again: then it goes on. The replaced event
store is kept below DEVICE_LEDGER_HOME/ledger/replaced-…; remove it when nobody needs it.

The new epoch is told by an event in each partition (ledger.restored.v1), so that everybody sees
that the ledger was restored, and after which event. What the topic has beyond the restored
store is lost to the ledger: the relay keeps it below DEVICE_LEDGER_HOME/lost, empties the topic
and fills it anew, and read models are built anew.

Without a folder it begins the new epoch in the event store that is there: after PostgreSQL's
own tools, or other means, have put an older copy in place.

    device-ledger restore /backups/ledger/ledger-20260131T093000Z --until 2026-01-31T09:20:00Z
"""


def restore(
    ledger: Annotated[
        Path | None,
        typer.Argument(help="Folder that `device-ledger backup` made; without: see below."),
    ] = None,
    vault: Annotated[
        Path | None, typer.Option(help="Folder of the vault's backup, to restore it as well.")
    ] = None,
    until: Annotated[
        str,
        typer.Option(
            help="Leave out what came after this event id, or after this time (RFC 3339)."
        ),
    ] = "",
    read_models: Annotated[
        bool, typer.Option(help="Restore the read models too; without, they are built anew.")
    ] = True,
) -> None:
    """See HELP."""
    from device_ledger.alone import NotAloneError, alone_on
    from device_ledger.backup.manifest import BackupError
    from device_ledger.backup.restore import Wanted
    from device_ledger.ledger.stores import StoreRefusedError
    from device_ledger.schemas import SchemaError
    from device_ledger.settings import settings
    from device_ledger.trees.database import TreeStoreError

    chosen = settings()
    if until and ledger is None:
        raise CliError("--until goes with a folder of a backup", USAGE)
    wanted = Wanted(ledger, vault, _point(until), read_models)
    try:
        with alone_on(chosen.home):
            _restore(chosen, wanted)
    except (BackupError, NotAloneError, SchemaError, StoreRefusedError, TreeStoreError) as error:
        raise CliError(str(error)) from error


def _restore(settings: Settings, wanted: Wanted) -> None:
    from device_ledger.backup.plan import finish, is_half_restored
    from device_ledger.backup.restore import begin_in_place
    from device_ledger.backup.restore import restore as put_in_place

    if is_half_restored(settings.home):
        finish(settings.home)
        typer.echo("The restore that was interrupted is finished.")
        return
    if wanted.ledger is None and wanted.vault is None:
        _tell(begin_in_place(settings, _seen_epoch(settings)))
        return
    for there, url in (
        (wanted.ledger, settings.event_store_url),
        (wanted.vault, settings.vault_url),
    ):
        if there is not None and url.get_secret_value():
            raise CliError(
                f"{there} is a backup of SQLite, and the settings name PostgreSQL: restore that by"
                " its own tools (docs/operations.md)",
                USAGE,
            )
    with showing() as show:
        seen_epoch = _seen_epoch(settings) if wanted.ledger is not None else 0
        done = put_in_place(settings, wanted, seen_epoch, show)
    if done is not None:
        _tell(done)
    if wanted.vault is not None:
        typer.echo("The vault is restored; the API completes erasures of since then at its start.")


def _point(until: str) -> int | str | None:
    from device_ledger.cli.times import option_moment

    if not until:
        return None
    return int(until) if until.isdecimal() else option_moment("--until", until)


def _tell(done: Restored) -> None:
    typer.echo(
        f"The event store is of epoch {done.epoch} now, and has what came up to event"
        f" {done.last_id}. Start the processes: the relay says what is lost."
    )


def _seen_epoch(settings: Settings) -> int:
    """The newest epoch on the events topic, 0 where that can't be told."""
    import asyncio
    import logging

    from device_ledger.relay.tails import newest_epoch

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    found = asyncio.run(newest_epoch(settings.brokers))
    if found is None:
        typer.echo(
            f"Kafka does not answer at {settings.brokers}: should its topic be of a later epoch,"
            " the relay will refuse, and `device-ledger restore` without a folder begins another.",
            err=True,
        )
    return found or 0
