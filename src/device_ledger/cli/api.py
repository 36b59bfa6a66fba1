"""``device-ledger api``: serves the HTTP API."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from device_ledger.cli.errors import USAGE, CliError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    import uvicorn
    from fastapi import FastAPI

    from device_ledger.settings import Settings

SERVER: Final[Mapping[str, Any]] = {
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "timeout_graceful_shutdown": 20,
    # Where its parser is not to be had the server's own stands in, without these bounds.
    "http": "device_ledger.cli.connections:BoundedProtocol" if find_spec("httptools") else "h11",
    "ws": "none",
}
"""How uvicorn is set; the benchmark's reference is served by the same."""


def api() -> None:
    """Serve the HTTP API until it is stopped.

    It checks callers' tokens against DEVICE_LEDGER_ISSUER. With SQLite as the event store one
    API process serves at a time; PostgreSQL is for more.
    """
    from eventsourcing.persistence import PersistenceError

    from device_ledger.geo import GeoError
    from device_ledger.issuer import IssuerError
    from device_ledger.keyfile import KeyLoadingError
    from device_ledger.ledger.stores import StoreRefusedError
    from device_ledger.logs import configure_logs
    from device_ledger.settings import settings
    from device_ledger.vault.store import VaultStoreError

    chosen = settings()
    check_issuer(chosen)
    listening = listen(chosen)
    configure_logs(chosen.log_level)
    try:
        _serve(chosen, listening)
    except (GeoError, IssuerError, KeyLoadingError, StoreRefusedError, VaultStoreError) as error:
        raise CliError(str(error)) from error
    except PersistenceError as error:
        raise CliError(f"the event store can't be used: {type(error).__name__}") from error
    finally:
        listening.close()


def check_issuer(settings: Settings) -> None:
    """Refuse to serve where nobody, or anybody, could make callers' tokens."""
    from device_ledger.issuer import is_loopback

    if settings.embedded_issuer and settings.issuer:
        raise CliError(
            "DEVICE_LEDGER_ISSUER and DEVICE_LEDGER_EMBEDDED_ISSUER are both set: keep one", USAGE
        )
    if settings.embedded_issuer and not is_loopback(settings.host):
        raise CliError(
            "the embedded issuer serves on loopback only: set DEVICE_LEDGER_HOST=127.0.0.1,"
            " or DEVICE_LEDGER_ISSUER for real callers",
            USAGE,
        )
    if not settings.embedded_issuer and not settings.issuer:
        raise CliError(
            "no issuer of callers' tokens: set DEVICE_LEDGER_ISSUER,"
            " or use `device-ledger up` to try things out",
            USAGE,
        )


def listen(settings: Settings) -> socket.socket:
    """The socket that the settings name."""
    import os
    import socket

    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server(
            (settings.host.strip("[]"), settings.port), family=family, backlog=2048
        )
    except OSError as error:
        raise CliError(
            f"cannot listen on {settings.host}:{settings.port}: {os.strerror(error.errno or 0)}"
        ) from error


def _serve(settings: Settings, listening: socket.socket) -> None:
    from contextlib import ExitStack
    from importlib import import_module

    from device_ledger.ready import ready

    # Named by text: nothing in device_ledger imports the rooms above it.
    app = import_module("api.app").create_app()
    with ExitStack() as stack:
        server = server_of(app, lambda: stack.enter_context(ready(settings.home, "api")))
        server.run([listening])
    if not server.started:
        raise CliError("the API could not start; its log says why")


def server_of(app: FastAPI, started: Callable[[], object] = lambda: None) -> uvicorn.Server:
    """A server of an app of ours; ``started`` is called when it takes requests."""
    import signal

    import uvicorn

    from device_ledger.collecting import collect_only_new

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                collect_only_new()
                started()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Streams of events would go on, and be waited for.
            app.state.ending.set()
            await super().shutdown(sockets)

    # The server raises the signal that stopped it once more when it is done.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    return Server(uvicorn.Config(app, **SERVER))
