"""``device-ledger migrate``: moves the stores on to the schemas of this version."""

from __future__ import annotations

import typer

from device_ledger.cli.errors import CliError


def migrate() -> None:
    """Move event store, trees and vault on to the schemas of this version, after an upgrade.

    A process that finds a store of an older version says so and ends; this is what it asks for.
    Stop all processes and take a backup first. Each store is changed in one transaction, so it may
    be stopped at any moment and run again; where nothing is to do, nothing is done. Stored events
    are never changed, and read models are built anew by themselves.

        device-ledger backup /backups/ledger --vault /vault-backups/ledger
        device-ledger migrate
    """
    from device_ledger.alone import NotAloneError, alone_on
    from device_ledger.migrating import migrate as move_on
    from device_ledger.schemas import SchemaError
    from device_ledger.settings import settings
    from device_ledger.trees.database import TreeStoreError

    chosen = settings()
    try:
        with alone_on(chosen.home):
            migrated = move_on(chosen)
    except (NotAloneError, SchemaError) as error:
        raise CliError(str(error)) from error
    except TreeStoreError as error:
        raise CliError(f"a store can't be migrated: {error.__cause__!r}") from error
    if not migrated:
        raise CliError(f"there is no store below {chosen.home}, and no setting names one")
    for one in migrated:
        was = "already" if one.before == one.now else f"was {one.before}"
        typer.echo(f"{one.title}: schema {one.now} ({was})")
