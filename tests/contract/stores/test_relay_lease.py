"""What the relay does only while it holds the lease, on each store."""

import asyncio
from contextlib import AbstractAsyncContextManager
from unittest import mock

import pytest
from pydantic import SecretStr

from device_ledger.ledger.ledger import Ledger
from device_ledger.relay import relay
from device_ledger.relay.lease import Lease, take_lease
from device_ledger.relay.tails import TopicBrokenError
from device_ledger.settings import Settings
from tests.conftest import AnyStore


@pytest.fixture
def settings(any_store: AnyStore) -> Settings:
    settings = Settings(home=any_store.home, event_store_url=SecretStr(any_store.url))
    Ledger.open(settings).close()
    return settings


async def is_free(other: AbstractAsyncContextManager[Lease]) -> bool:
    try:
        async with asyncio.timeout(1), other:
            return True
    except TimeoutError:
        return False


async def test_a_broken_topic_is_made_empty_while_no_other_relay_can_fill_it(
    settings: Settings,
) -> None:
    free: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def make_empty(_servers: str, _partitions: int) -> None:
        free.set_result(await is_free(take_lease(settings)))
        await asyncio.Event().wait()

    with (
        mock.patch.object(relay, "_session", side_effect=TopicBrokenError("broken")),
        mock.patch.object(relay, "make_empty", make_empty),
    ):
        relaying = asyncio.create_task(relay.run_relay(settings, "", lambda: None))
        assert await asyncio.wait_for(free, 30) is False
        relaying.cancel()
        await asyncio.wait([relaying])
