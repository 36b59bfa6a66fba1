"""Whether this process can serve, and what it does without."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aiokafka.conn import collect_hosts

Check = Callable[[], Awaitable[bool]]
CHECK_SECONDS: Final = 2.0
CONNECT_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class State:
    """``down`` parts that it can't serve without, ``degraded`` ones that it can."""

    down: list[str]
    degraded: list[str]


class Readiness:
    """Checks of the parts. Until all of them ``was_whole`` once, each counts as needed."""

    def __init__(
        self, needed: Mapping[str, Check], helpful: Mapping[str, Check], *, was_whole: bool = False
    ) -> None:
        self._needed = needed
        self._helpful = helpful
        self._was_whole = was_whole

    async def state(self) -> State:
        """Ask all parts now."""
        away = await _away({**self._needed, **self._helpful})
        self._was_whole = self._was_whole or not away
        down = [name for name in away if name in self._needed or not self._was_whole]
        return State(down, [name for name in away if name not in down])


def in_thread(look: Callable[[], object]) -> Check:
    """A check that is up when ``look`` returns, in a thread. One that hangs isn't begun again."""
    looking: asyncio.Future[object] | None = None

    async def check() -> bool:
        nonlocal looking
        if looking is None or looking.done():
            looking = asyncio.ensure_future(asyncio.to_thread(look))
            # Whoever gave up waiting doesn't ask what became of it.
            looking.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(looking)
        return True

    return check


async def kafka_answers(brokers: str) -> bool:
    """Whether one of the brokers (``host:port`` by commas) takes connections."""
    for host, port, _ in collect_hosts(brokers):
        with suppress(OSError):
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return True
    return False


async def _away(checks: Mapping[str, Check]) -> list[str]:
    answers = await asyncio.gather(*(_is_up(check) for check in checks.values()))
    return [name for name, is_up in zip(checks, answers, strict=True) if not is_up]


async def _is_up(check: Check) -> bool:
    try:
        return await asyncio.wait_for(check(), CHECK_SECONDS)
    except Exception:  # noqa: BLE001 - whatever a part fails with, it is not up
        return False
