"""``device-ledger relay``: copies events from the event store to Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

from device_ledger.cli.errors import CliError

if TYPE_CHECKING:
    from device_ledger.settings import Settings


def relay() -> None:
    """Copy events from the event store to Kafka, in order, until it is stopped.

    One relay works at a time; another waits for the lease and takes over. It makes the topics
    that are missing. Started again, it goes on where the topic ends.
    """
    import asyncio
    import logging

    from device_ledger.keyfile import KeyLoadingError
    from device_ledger.ledger.stores import StoreRefusedError
    from device_ledger.relay.tails import RelayRefusedError
    from device_ledger.settings import settings

    chosen = settings()
    logging.basicConfig(
        level=chosen.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(chosen))
    except (KeyLoadingError, RelayRefusedError, StoreRefusedError) as error:
        raise CliError(str(error)) from error


async def _serve(settings: Settings) -> None:
    import asyncio
    import signal
    from contextlib import ExitStack

    from device_ledger.collecting import collect_only_new
    from device_ledger.ready import ready
    from device_ledger.relay.relay import run_relay

    relaying = asyncio.current_task()
    assert relaying is not None  # noqa: S101 - a coroutine runs in a task
    collect_only_new()
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, relaying.cancel)
        try:
            await run_relay(
                settings,
                settings.brokers,
                # Each session that takes over tells it again: telling is idempotent.
                lambda: stack.enter_context(ready(settings.home, "relay")),
            )
        except asyncio.CancelledError:
            return
