"""``device-ledger streams``: keeps the read models up to date."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from device_ledger.cli.errors import CliError

if TYPE_CHECKING:
    from device_ledger.settings import Settings


def _checked(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", name):
        raise typer.BadParameter("letters, digits, '.', '_' and '-', at most 64")
    return name


def streams(
    name: Annotated[
        str,
        typer.Option(
            callback=_checked,
            help="This worker's name; each worker has its own, and keeps it over restarts.",
        ),
    ] = "streams",
) -> None:
    """Apply events from Kafka to the read models, until it is stopped.

    Read models on PostgreSQL are kept by any number of workers, each with a name of its own; those
    on SQLite by one. It waits for the topic, which the relay makes.
    """
    import asyncio
    import logging

    from device_ledger.settings import settings

    chosen = settings()
    logging.basicConfig(
        level=chosen.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    # Kafka's client tells every try to connect, many a second; the worker tells it once a second.
    for library, least in (("faust", "WARNING"), ("mode", "WARNING"), ("aiokafka", "CRITICAL")):
        if chosen.log_level.upper() != "DEBUG":
            logging.getLogger(library).setLevel(least)
    asyncio.run(_serve(chosen, name))


async def _serve(settings: Settings, name: str) -> None:
    import asyncio
    import signal
    from contextlib import ExitStack
    from importlib import import_module

    from device_ledger.collecting import collect_seldom
    from device_ledger.ready import ready

    worker_module = import_module("streams.worker")
    collect_seldom()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with ExitStack() as stack:
        worker = worker_module.Worker(
            settings, name, lambda: stack.enter_context(ready(settings.home, name))
        )
        try:
            await worker.run(stop)
        except worker_module.EXPECTED as error:
            raise CliError(str(error)) from error
