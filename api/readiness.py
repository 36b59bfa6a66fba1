"""Whether this process can serve, and what it does without."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

Check = Callable[[], Awaitable[bool]]
CHECK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class State:
    """``down`` parts that it can't serve without, ``degraded`` ones that it can."""

    down: list[str]
    degraded: list[str]


class Readiness:
    """Checks of the parts. Until all of them were up once, each counts as needed."""

    def __init__(self, needed: Mapping[str, Check], helpful: Mapping[str, Check]) -> None:
        self._needed = needed
        self._helpful = helpful
        self._was_whole = False

    async def state(self) -> State:
        """Ask all parts now."""
        away = await _away({**self._needed, **self._helpful})
        self._was_whole = self._was_whole or not away
        down = [name for name in away if name in self._needed or not self._was_whole]
        return State(down, [name for name in away if name not in down])


async def _away(checks: Mapping[str, Check]) -> list[str]:
    answers = await asyncio.gather(*(_is_up(check) for check in checks.values()))
    return [name for name, is_up in zip(checks, answers, strict=True) if not is_up]


async def _is_up(check: Check) -> bool:
    try:
        return await asyncio.wait_for(check(), CHECK_SECONDS)
    except Exception:  # noqa: BLE001 - whatever a part fails with, it is not up
        return False
