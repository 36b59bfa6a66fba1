"""Running several things at once: until one of them ends, or beside something else."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

AGAIN_SECONDS: Final = 1.0
"""After so long what doesn't end is cancelled again: a client that is being closed takes a
cancellation for its own tasks', and whoever closes it goes on."""


async def first_to_end(*running: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends; that one's exception is raised, the others are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in running]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in ended:
            one.result()
    finally:
        await _end(tasks)


@asynccontextmanager
async def beside(
    *running: Coroutine[Any, Any, None],
) -> AsyncIterator[Sequence[asyncio.Task[None]]]:
    """Run these until the block ends, which gets their tasks; one that fails ends alone."""
    tasks = [asyncio.create_task(one) for one in running]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    going = {task for task in tasks if not task.done()}
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=AGAIN_SECONDS)
    # Whoever gave up waiting doesn't ask what became of them.
    await asyncio.gather(*tasks, return_exceptions=True)
