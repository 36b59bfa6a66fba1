"""A relay as a process of its own, and events for it to relay."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from device_ledger.cli.child import Child
from device_ledger.ledger.ledger import Ledger
from device_ledger.settings import Settings
from tests.samples.commands import another_customer, another_device, link, receipt


def write(ledger: Ledger, count: int) -> None:
    """Link this many devices, each of a customer of its own: two events each."""
    devices = [another_device() for _ in range(count)]
    futures = [
        ledger.submit(link(another_customer(), device, phrase=device.token), receipt())
        for device in devices
    ]
    assert {one.result(60).status for one in futures} == {"done"}


def relay(settings: Settings, servers: str, home: Path | None = None) -> Child:
    """A relay that is not started yet."""
    environment = dict(os.environ) | {
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "DEVICE_LEDGER_EVENT_STORE_URL": settings.event_store_url.get_secret_value(),
    }
    return Child("relay", home or settings.home, environment)


@asynccontextmanager
async def running(settings: Settings, servers: str) -> AsyncIterator[Child]:
    """A relay that relays, until the block ends."""
    child = relay(settings, servers)
    child.start()
    try:
        await asyncio.to_thread(child.wait_until_ready)
        yield child
    finally:
        child.stop()
