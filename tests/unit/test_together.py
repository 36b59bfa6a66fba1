"""Things that run together end together, whatever becomes of a cancellation on the way."""

import asyncio
from contextlib import suppress

import pytest

from device_ledger import together
from device_ledger.together import first_to_end


async def fail() -> None:
    raise ZeroDivisionError


async def test_the_first_ones_exception_is_raised_and_the_others_end() -> None:
    ended = asyncio.Event()

    async def go_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ZeroDivisionError):
        await first_to_end(go_on(), fail())
    assert ended.is_set()


async def test_one_that_swallows_its_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(together, "AGAIN_SECONDS", 0.01)
    cancellations: list[int] = []

    async def close_a_client() -> None:
        while len(cancellations) < 3:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            cancellations.append(1)
        await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError):
        await first_to_end(close_a_client(), fail())
    assert len(cancellations) == 3
