"""``device-ledger detector``: archives history, and runs the rules on it as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device_ledger.cli.errors import CliError

if TYPE_CHECKING:
    from device_ledger.settings import Settings

NICENESS: Final = 10
"""It gives way: on cores that it shares with what callers wait for, those go first."""


def detector() -> None:
    """Archive the history and raise the rules' alerts as it happens, until it is stopped.

    It writes Parquet files below DEVICE_LEDGER_HOME/archive, evaluates the rules of
    DEVICE_LEDGER_RULES (a file that is changed or dropped in counts from then on), and tells their
    alerts on the alerts topic, each once. As a witness it checks what the relay signs. One works
    on a home at a time; another waits for its end. Started again, it goes on where it was; the
    first time it begins with what comes.
    """
    import asyncio
    import logging
    import os

    from device_ledger.settings import settings

    chosen = settings()
    logging.basicConfig(
        level=chosen.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    if chosen.log_level.upper() != "DEBUG":
        # Kafka's client tells every try to connect; the detector tells that it begins again.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    os.nice(NICENESS)
    asyncio.run(_serve(chosen))


async def _serve(settings: Settings) -> None:
    import asyncio
    import signal
    from contextlib import ExitStack
    from importlib import import_module

    from device_ledger.ready import ready

    module = import_module("projections.detector.detector")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with ExitStack() as stack:
        try:
            await module.Detector(
                settings, lambda: stack.enter_context(ready(settings.home, "detector"))
            ).run(stop)
        except module.EXPECTED as error:
            raise CliError(str(error)) from error
