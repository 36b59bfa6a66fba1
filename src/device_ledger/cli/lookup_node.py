"""``device-ledger lookup-node``: serves merchants' lookups from a copy of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from device_ledger.cli.api import check_issuer, listen, server_of
from device_ledger.cli.errors import CliError

if TYPE_CHECKING:
    import socket

    from device_ledger.settings import Settings

READY = "lookup-node"
"""The name under which it tells that it is ready."""


def lookup_node(
    beside: Annotated[
        Path | None,
        typer.Option(
            metavar="HOME",
            help="Home of an installation on this machine: where keys, and a vault on SQLite, are"
            " that no setting names.",
        ),
    ] = None,
) -> None:
    """Serve merchants' lookups from a copy of this process's own, until it is stopped.

    Any number of nodes may run, anywhere: lookups grow with them. Each has a DEVICE_LEDGER_HOME
    of its own, for its copy and for access records that Kafka does not have yet. It reads
    events from KAFKA_BOOTSTRAP_SERVERS and customers' keys from DEVICE_LEDGER_VAULT_URL, as a
    role that may only read; it needs the master key, the token key and the issuer of the API,
    and neither the event store nor the read models' database.

    Lookups are answered (`/readyz` says 200) once the copy shows all that was on the topic. Beside
    `device-ledger up`, to try it:

    `DEVICE_LEDGER_EMBEDDED_ISSUER=1 DEVICE_LEDGER_HOME=node-1 DEVICE_LEDGER_PORT=8001
    device-ledger lookup-node --beside .device-ledger`
    """
    import logging

    from device_ledger.logs import configure_logs
    from device_ledger.settings import settings

    chosen = settings()
    check_issuer(chosen)
    listening = listen(chosen)
    configure_logs(chosen.log_level)
    if chosen.log_level.upper() != "DEBUG":
        # Kafka's client tells every try to connect, many a second; the node tells it once.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        _serve(chosen, beside or chosen.home, listening)
    finally:
        listening.close()


def _serve(settings: Settings, beside: Path, listening: socket.socket) -> None:
    from contextlib import ExitStack
    from importlib import import_module

    from device_ledger.ready import ready

    node = import_module("api.node")
    place = node.Place(settings, settings.model_copy(update={"home": beside}))
    failures: list[Exception] = []

    def fail(error: Exception) -> None:
        failures.append(error)
        server.should_exit = True

    with ExitStack() as stack:
        try:
            app = node.create_node(
                place, lambda: stack.enter_context(ready(settings.home, READY)), fail
            )
        except node.EXPECTED as error:
            raise CliError(str(error)) from error
        server = server_of(app)
        server.run([listening])
    for failure in failures:
        if not isinstance(failure, node.EXPECTED):
            raise failure
        raise CliError(str(failure)) from failure
    if not server.started:
        raise CliError("the node could not start; its log says why")
