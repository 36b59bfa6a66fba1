"""Whether this process can serve, and what it does without."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from aiokafka.conn import collect_hosts

from device_ledger.settings import Settings

Check = Callable[[], Awaitable[bool]]
"""Whether a part is up; one that isn't may raise :class:`NotUpError` to say why."""
CHECK_SECONDS: Final = 2.0
CONNECT_SECONDS: Final = 0.5


class NotUpError(Exception):
    """A part isn't up; the message says why, without a value of anybody's."""


@dataclass(frozen=True, slots=True)
class State:
    """``down`` parts that it can't serve without, ``degraded`` ones that it can, and why each
    of them isn't up."""

    down: list[str]
    degraded: list[str]
    reasons: dict[str, str] = field(default_factory=dict)


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
        return State(down, [name for name in away if name not in down], away)


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


def kafka_check(settings: Settings) -> Check:
    """A check that is up while one of the brokers takes connections."""

    async def answers() -> bool:
        if not await kafka_answers(settings.brokers):
            raise NotUpError("no broker takes connections")
        return True

    return answers


async def _away(checks: Mapping[str, Check]) -> dict[str, str]:
    """The parts that are not up, each with the reason."""
    answers = await asyncio.gather(*(_reason(check) for check in checks.values()))
    return {name: why for name, why in zip(checks, answers, strict=True) if why}


async def _reason(check: Check) -> str:
    """Why a part isn't up; empty where it is."""
    try:
        return "" if await asyncio.wait_for(check(), CHECK_SECONDS) else "it isn't there"
    except NotUpError as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - whatever a part fails with, it is not up
        return type(error).__name__
