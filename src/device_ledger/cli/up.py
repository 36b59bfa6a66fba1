"""``device-ledger up``: everything on one machine, for trying it out and for development."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device_ledger.cli.errors import USAGE, CliError

if TYPE_CHECKING:
    from pathlib import Path

    from device_ledger.cli.supervisor import Part
    from device_ledger.settings import Settings

PATIENCE: Final = 3.0
"""Seconds after which a start shows what it waits for."""


def up() -> None:
    """Start all processes of the ledger, and print how to call them; Ctrl-C stops all.

    The state stays below DEVICE_LEDGER_HOME: the next start goes on with it. A second Ctrl-C
    stops at once.
    """
    from device_ledger.cli.child import ChildEnded
    from device_ledger.cli.supervisor import Supervisor
    from device_ledger.settings import settings

    chosen = settings()
    lock = _take_home(chosen.home)
    _check(chosen)
    supervisor = Supervisor(_parts(chosen, lock), _tell)
    waiting = _Waiting()

    def served() -> None:
        waiting.end()
        _greet(chosen)

    try:
        supervisor.run(waiting.show, served)
    except ChildEnded as error:
        raise CliError(str(error)) from error
    finally:
        waiting.end()


def _take_home(home: Path) -> int:
    """Descriptor of the home's lock, held until this process and all its children are gone."""
    import fcntl
    import os

    import psutil

    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "run").mkdir(exist_ok=True)
        lock = os.open(home / "run" / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CliError(f"{home} can't be written: {error.strerror}", USAGE) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = int(os.pread(lock, 20, 0) or b"0")
        if psutil.pid_exists(holder):
            raise CliError(f"`up` runs on {home} already, as process {holder}", USAGE) from None
        _tell("Waiting for the children of an `up` that was killed")
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _check(settings: Settings) -> None:
    """Refuse, before anything is started, what would fail later."""
    from device_ledger.broker import LOOPBACK, PORT_REMEDY, check_port
    from device_ledger.cli.broker import fetch_with_progress
    from device_ledger.issuer import is_loopback
    from device_ledger.java import find_java
    from device_ledger.kafka_jars import BrokerError
    from device_ledger.keyfile import KeyLoadingError
    from device_ledger.trees.names import ensure_log_key
    from device_ledger.vault.keys import load_keys, load_or_create_keys

    if not settings.issuer and not is_loopback(settings.host):
        raise CliError(
            f"without DEVICE_LEDGER_ISSUER the API binds to loopback only, not to {settings.host}",
            USAGE,
        )
    try:
        check_port(settings.host, settings.port, "set DEVICE_LEDGER_PORT to a free one")
        if not settings.kafka_bootstrap_servers:
            check_port(LOOPBACK, settings.broker_port, PORT_REMEDY)
            find_java()
            fetch_with_progress()
        if _names_keys(settings):
            load_keys(settings)
        else:
            load_or_create_keys(settings.home)
        ensure_log_key(settings)
    except (BrokerError, KeyLoadingError) as error:
        raise CliError(str(error), USAGE) from error


def _names_keys(settings: Settings) -> bool:
    return bool(
        settings.master_key.get_secret_value()
        or settings.token_key.get_secret_value()
        or settings.master_key_file
        or settings.token_key_file
    )


def _parts(settings: Settings, lock: int) -> list[Part]:
    """All processes, in the order of their start; the API makes the event store."""
    import os

    from device_ledger.cli.child import Child
    from device_ledger.cli.supervisor import Part

    # glibc keeps what a thread has freed for that thread, in up to eight arenas a core.
    environment = {"MALLOC_ARENA_MAX": "2", **os.environ}
    if not settings.issuer:
        environment["DEVICE_LEDGER_EMBEDDED_ISSUER"] = "1"
        environment.setdefault("DEVICE_LEDGER_GEO_OVERLAY_FILE", _simulated_networks(settings))

    def part(name: str, *needs: str) -> Part:
        return Part(Child(name, settings.home.resolve(), environment, inherited=(lock,)), needs)

    broker = [] if settings.kafka_bootstrap_servers else [part("broker")]
    return [
        *broker,
        part("api"),
        part("relay", "broker", "api"),
        part("streams", "relay"),
        part("detector", "relay"),
    ]


def _simulated_networks(settings: Settings) -> str:
    """A file that tells where the addresses of ``device-ledger simulate`` are."""
    from device_ledger.simulation.networks import write_overlay

    file = settings.home.resolve() / "run" / "simulated-networks.csv"
    write_overlay(file)
    return str(file)


class _Waiting:
    """Shows on stderr what a start waits for, once it takes long."""

    def __init__(self) -> None:
        import time

        from rich.console import Console

        self._since = time.monotonic()
        self._status = Console(stderr=True).status("")
        self._shown = False

    def show(self, names: list[str]) -> None:
        import time

        if time.monotonic() - self._since < PATIENCE:
            return
        self._status.update(f"Waiting for {', '.join(names)}")
        if not self._shown:
            self._shown = True
            self._status.start()

    def end(self) -> None:
        self._status.stop()


def _tell(line: str) -> None:
    import typer

    typer.echo(line, err=True)


def _greet(settings: Settings) -> None:
    """Print the address, a token for each kind of caller, and four calls to make."""
    import typer

    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{settings.port}"
    typer.echo(f"Device Ledger serves at {address} (its reference: {address}/docs).")
    typer.echo(f"State and logs are below {settings.home}. Ctrl-C stops it.")
    if not settings.issuer:
        typer.echo(_calls(address, settings))


def _calls(address: str, settings: Settings) -> str:
    from device_ledger.issuer import EmbeddedIssuer

    issuer = EmbeddedIssuer.open(settings)
    bank, customer = "demo-bank", "customer-1"
    tokens = {
        "BANK": issuer.mint("bank", bank_id=bank),
        "MERCHANT": issuer.mint("merchant", merchant_id="demo-merchant"),
        "USER": issuer.mint("user", bank_id=bank, user_id=customer),
        "ADMIN": issuer.mint("admin", bank_id=bank),
        "SECURITY": issuer.mint("security"),
        "LEAD": issuer.mint("lead"),
    }
    link = f'{{"customerId":"{customer}","phrase":"blue heron at dusk","deviceId":"phone-1"}}'
    lookup = '{"deviceId":"phone-1"}'
    json = "-H 'Content-Type: application/json' -d"
    search = f'{{"bankId":"{bank}","limit":5}}'
    calls = [
        f"curl {address}/v1/bank/customer/device/link {json} '{link}' {_bearer('BANK')}",
        f"curl {address}/v1/customer/device/lookup {json} '{lookup}' {_bearer('MERCHANT')}",
        f"curl {address}/settings/devices {_bearer('USER')}",
        f"curl {address}/v1/security/audit/search {json} '{search}' {_bearer('SECURITY')}",
    ]
    return "\n".join(
        [
            "\nTokens for trying it out, good for an hour (`device-ledger token` makes others):\n",
            *(f"{name}_TOKEN={token}" for name, token in tokens.items()),
            "\nA bank links a device; a moment later a merchant looks it up, its user lists it,",
            "and a security officer sees who did what, the newest first:\n",
            *calls,
        ]
    )


def _bearer(name: str) -> str:
    return f'-H "Authorization: Bearer ${name}_TOKEN"'
