"""``device-ledger log``: what whoever verifies the history needs to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from device_ledger.cli.errors import CliError
from device_ledger.cli.verify import Log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from device_ledger.trees.store import TreeStore

log = typer.Typer(
    no_args_is_help=True,
    help="Print what whoever verifies the history needs to keep: the key, and checkpoints.",
)
Which = Annotated[Log, typer.Argument(help="The log.")]


@log.command()
def key(which: Which = Log.events) -> None:
    """Print the verifier key of a log: what `device-ledger verify --key` takes.

    Keep it where this installation can't change it.
    """
    with _trees() as trees:
        found = trees.verifier(which)
    if not found:
        raise CliError(f"nothing of the {which} log is signed yet")
    typer.echo(found)


@log.command()
def checkpoints(
    which: Which = Log.events,
    all_: Annotated[
        bool, typer.Option("--all", help="Print all of them, and not the newest only.")
    ] = False,
) -> None:
    """Print signed checkpoints of a log: what `device-ledger verify --checkpoint` takes.

    Keep one from time to time where this installation can't change it: no history that differs
    from it can be passed off as whole afterwards. With all of them, the first difference is found
    to 1,000 records, without this installation's help.

        device-ledger log checkpoints --all > kept.txt
    """
    with _trees() as trees:
        newest = trees.newest_checkpoint(which)
        if newest is None:
            raise CliError(f"nothing of the {which} log is signed yet")
        for note in _all(trees, which) if all_ else (newest.note,):
            typer.echo(note, nl=False)


@log.command("hand-overs")
def hand_overs(which: Which = Log.events) -> None:
    """Print the checkpoints that handed a log over to another key, the oldest first.

    Each is signed by both keys and names them. Who kept an older key needs them to verify what a
    newer one signed: put them into the file of checkpoints, in any order.

        device-ledger log hand-overs >> kept.txt
    """
    with _trees() as trees:
        for note in trees.hand_overs(which):
            typer.echo(note, nl=False)


def _all(trees: TreeStore, which: Log) -> Iterator[str]:
    above = -1
    while page := trees.checkpoints(which, above=above):
        yield from (one.note for one in page)
        above = page[-1].size


def _trees() -> AbstractContextManager[TreeStore]:
    from contextlib import contextmanager

    from device_ledger.settings import settings
    from device_ledger.trees.database import TreeStoreError
    from device_ledger.trees.store import TreeStore

    @contextmanager
    def opened() -> Iterator[TreeStore]:
        trees = TreeStore.open(settings())
        try:
            yield trees
        except TreeStoreError as error:
            raise CliError(f"no log is kept here: {error}") from error
        finally:
            trees.close()

    return opened()
