"""``device-ledger broker``: a local Apache Kafka, for a machine that has no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from device_ledger.cli.errors import CliError

if TYPE_CHECKING:
    from pathlib import Path


Prepare = typer.Option(
    help="Only download what it needs and have Java learn from a start, for quicker ones later."
)


def broker(*, prepare: Annotated[bool, Prepare] = False) -> None:
    """Run a local Apache Kafka on loopback, its data below the home, until it is stopped.

    The first start downloads Kafka's jars (46 MB) from Maven Central; later ones need no network.
    """
    import asyncio

    from device_ledger.kafka_jars import BrokerError
    from device_ledger.settings import settings

    chosen = settings()
    if chosen.kafka_bootstrap_servers:
        raise CliError("KAFKA_BOOTSTRAP_SERVERS names a broker: the local one is not needed")
    if prepare:
        _prepare()
        return
    try:
        asyncio.run(_serve(chosen.home, chosen.broker_port))
    except BrokerError as error:
        raise CliError(str(error)) from error


async def _serve(home: Path, port: int) -> None:
    import asyncio
    import signal

    from device_ledger.broker import LocalBroker
    from device_ledger.broker_cache import cache_options
    from device_ledger.ready import ready

    asked_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    jars = await asyncio.to_thread(fetch_with_progress)
    local = LocalBroker(home, port, jars, cache_options(jars))
    stopping = asyncio.create_task(asked_to_stop.wait())
    try:
        starting = asyncio.create_task(local.start())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            starting.cancel()
            return
        starting.result()
        ended = asyncio.create_task(local.ended())
        with ready(home, "broker"):
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            raise CliError(f"Kafka ended by itself with exit code {ended.result()}: see its log")
    finally:
        await local.stop()


def _prepare() -> None:
    import asyncio

    from rich.console import Console

    from device_ledger.broker_cache import make_cache
    from device_ledger.kafka_jars import BrokerError

    try:
        jars = fetch_with_progress()
        with Console(stderr=True).status("Java learns from a start of Apache Kafka"):
            made = asyncio.run(make_cache(jars))
    except BrokerError as error:
        raise CliError(str(error)) from error
    typer.echo("the local broker is prepared" if made else "this Java keeps nothing: prepared")


def fetch_with_progress() -> list[Path]:
    """Paths of Kafka's jars; shows on stderr how far it is.

    Raises:
        BrokerError: one can't be had, or isn't the one that was locked.
    """
    from jgo.maven import MavenContext
    from rich.console import Console
    from rich.progress import Progress

    from device_ledger.kafka_jars import fetch_jars, locked_jars

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Fetching Apache Kafka", total=None)
        return fetch_jars(
            locked_jars(),
            lambda done, total: progress.update(task, completed=done, total=total),
            MavenContext(),
        )
