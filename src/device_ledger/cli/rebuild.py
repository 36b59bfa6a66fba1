"""``device-ledger rebuild``: builds read models anew, beside the live ones."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from device_ledger.cli.errors import CliError
from device_ledger.cli.progress import records_progress

if TYPE_CHECKING:
    from device_ledger.settings import Settings


class Which(StrEnum):
    """The read models that there are."""

    lookup = "lookup"
    devices = "devices"
    links = "links"
    audit = "audit"
    access = "access"
    alerts = "alerts"
    all = "all"


def rebuild(
    which: Annotated[Which, typer.Argument(help="The read model to build anew.")] = Which.all,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that read the topic, each some of its partitions."
            " Default: one for each core, four at most, fewer where there is little to read.",
        ),
    ] = None,
) -> None:
    """Build read models anew from their topics, beside the live ones, and put them in their place.

    The live ones go on serving and moving meanwhile. It may be stopped or killed at any moment:
    nothing is changed then, and the next rebuild clears what is left. Where several processes read
    a topic, they give way to the others on the machine.
    """
    import asyncio

    from device_ledger.settings import settings

    asyncio.run(_rebuild(settings(), which, processes))


async def _rebuild(settings: Settings, which: Which, processes: int | None) -> None:
    from importlib import import_module

    from device_ledger.collecting import collect_seldom

    rebuilding = import_module("projections.rebuild")
    models = import_module("projections.models").MODELS
    collect_seldom()
    with records_progress() as progress:
        for model in models:
            if which.value not in {model.name, "all"}:
                continue
            task = progress.add_task(model.name, total=None)
            try:
                await rebuilding.rebuild_one(
                    settings,
                    model,
                    lambda read, total, task=task: progress.update(
                        task, completed=read, total=total
                    ),
                    processes,
                )
            except rebuilding.EXPECTED as error:
                raise CliError(f"{model.name}: {error}") from error
