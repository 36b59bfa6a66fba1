"""Crashes between any two lines: a run that stops at its n-th line, for n = 1, 2, 3, …"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, ModuleType
from typing import Any


class Crash(BaseException):
    """The process is gone at this line; nothing of ours catches it."""


class Lines:
    """How many lines of these modules were reached, and whether the crash came."""

    def __init__(self) -> None:
        self.reached = 0
        self.crashed_at: tuple[CodeType, int] | None = None


@contextmanager
def crash_at(line: int, *modules: ModuleType) -> Iterator[Lines]:
    """Raise :class:`Crash` before the n-th line that runs in these modules, counted from 1.

    Functions that were entered before are not watched; coroutines are, each time they go on.
    """
    files = {module.__file__ for module in modules}
    lines = Lines()

    def at_call(frame: FrameType, event: str, _: Any) -> Any:
        return at_line if frame.f_code.co_filename in files else None

    def at_line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and lines.crashed_at is None:
            lines.reached += 1
            if lines.reached == line:
                lines.crashed_at = (frame.f_code, frame.f_lineno)
                raise Crash
        return at_line

    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        yield lines
    finally:
        sys.settrace(before)
