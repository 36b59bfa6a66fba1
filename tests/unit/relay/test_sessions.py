"""The relay goes on after whatever ends a session, and ends when it is told to."""

import asyncio
from pathlib import Path

import pytest

from device_ledger.ledger.ledger import Ledger
from device_ledger.relay import relay
from device_ledger.settings import Settings
from device_ledger.trees.names import ensure_log_key


@pytest.mark.parametrize("failure", [asyncio.CancelledError(), ConnectionError("lost")])
async def test_a_session_that_fails_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    settings = Settings(home=tmp_path)
    ensure_log_key(settings)
    Ledger.open(settings).close()
    failures = [failure]
    second = asyncio.Event()

    async def session(*_: object, **__: object) -> None:
        if failures:
            raise failures.pop()
        second.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(relay, "_session_or_refill", session)
    relaying = asyncio.create_task(relay.run_relay(settings, "127.0.0.1:1", lambda: None))
    follows = asyncio.create_task(second.wait())
    await asyncio.wait({relaying, follows}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    assert follows.done()
    relaying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await relaying
