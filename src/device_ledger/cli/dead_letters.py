"""``device-ledger dead-letters``: records that were not taken, and taking them after all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from device_ledger.cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from device_ledger.settings import Settings

dead_letters = typer.Typer(
    no_args_is_help=True,
    help="Show records that could not be read or applied, and replay them after a fix.",
)


@dead_letters.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show the records that are not taken: where each lies, which read model lacks it, and why.

    `*` stands for every read model that is made from the topic. What a record holds is not shown:
    it lies at its coordinates, and as it came on the topic device-ledger.dead-letters.v1.

    Exit code 0: Kafka answers, whether there are any or not.
    """
    import asyncio

    from device_ledger.settings import settings

    found = asyncio.run(_open(settings()))
    if as_json:
        import orjson

        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    elif found:
        show(found)
    else:
        typer.echo("No dead letters are open.")


@dead_letters.command()
def replay() -> None:
    """Let records take effect that could not be read or applied, and can be by now.

    After a fix: install the version that can read them, start the workers again, then

        device-ledger dead-letters replay

    A record has its place among those that came after it. So each read model that lacks one, and
    can take it now, is built anew from its topic beside the live one, which goes on serving, and
    put in its place. Stopped or killed at any moment nothing is half done, and the next run goes
    on. A record that is no longer at its place, as after a topic was made anew, is settled: what
    is there now was read. The archive is built anew by hand (docs/operations.md).

    Exit code 0: none is left; 1: some still can't be taken, or Kafka or a database is away.
    """
    import asyncio
    from importlib import import_module

    from device_ledger.collecting import collect_seldom
    from device_ledger.settings import settings

    collect_seldom()
    try:
        done = asyncio.run(_replay(settings()))
    except import_module("projections.rebuild").EXPECTED as error:
        raise CliError(str(error)) from error
    for name in done.rebuilt:
        typer.echo(f"{name} was built anew.")
    taken, gone, left = (
        len({place for place, _ in found}) for found in (done.taken, done.gone, done.left)
    )
    typer.echo(f"Taken now: {taken}; no longer where they lay: {gone}; can't be taken: {left}.")
    if done.left:
        place, read_model = done.left[0]
        raise CliError(
            f"some can't be taken, the first of them {place} by {read_model}:"
            " `device-ledger dead-letters list` tells why"
        )


def show(found: Sequence[dict[str, Any]]) -> None:
    """Show letters as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("topic", "partition", "offset", "read model", "reason", "at")
    table.title, table.title_justify = "Dead letters", "left"
    for one in found:
        table.add_row(*map(str, one.values()))
    Console().print(table)


async def _open(settings: Settings) -> list[dict[str, Any]]:
    from dataclasses import asdict
    from importlib import import_module

    letters = import_module("projections.dead_letters").DeadLetters(settings.brokers)
    looking = import_module("projections.status")
    try:
        return [asdict(looking.told(one)) for one in await letters.read()]
    except import_module("projections.topic").KAFKA_ERRORS as error:
        raise CliError(f"Kafka doesn't answer at {settings.brokers}") from error


async def _replay(settings: Settings) -> Any:
    from importlib import import_module

    from device_ledger.cli.progress import records_progress

    replaying = import_module("projections.replaying_letters")
    with records_progress() as progress:

        def reporting(name: str) -> Any:
            task = progress.add_task(name, total=None, visible=False)
            return lambda read, total: progress.update(
                task, completed=read, total=total, visible=True
            )

        return await replaying.replay(settings, reporting)
