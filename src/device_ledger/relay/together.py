"""Running several things that are of no use without one another."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first_to_end(*running: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends; that one's exception is raised, the others are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in running]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in ended:
            one.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
