"""The rules of a replay: those of this installation by name, and those that a caller sends."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from api.errors import TRY_AGAIN, Refusal

RULE_TEXT_MAX: Final = 32_768
RULES_MAX: Final = 100
CHECK_SECONDS: Final = 30.0
CHECKS_MAX: Final = 10
_CHECKS_AT_ONCE: Final = 2
_MESSAGE_MAX: Final = 500


def named(folder: Path, names: Sequence[str] | None) -> dict[str, str]:
    """The texts of an installation's rules by file name; of all, without names.

    Raises:
        Refusal: 400, it has no rule of that name, or none at all.
    """
    there = {path.stem: path for path in sorted(folder.glob("*.yml"))}
    missing = [name for name in names or () if name not in there]
    if missing or not there:
        words = f"There is no rule {missing[0]}" if missing else "There is no rule to replay"
        raise Refusal(400, "unknown-rule", words, field="rules")
    chosen = list(there) if names is None else names
    return {f"{name}.yml": there[name].read_text(encoding="utf-8") for name in chosen}


class RuleChecker:
    """Checks rules in processes of their own, a few at once."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(_CHECKS_AT_ONCE)
        self._asked = 0

    async def check(self, rules: Mapping[str, str]) -> None:
        """Return where these texts, by file name, are rules.

        Raises:
            Refusal: 400, one is not, and the message says which and where; 429, too many are
                being checked; 503, they can't be.
        """
        if self._asked >= CHECKS_MAX:
            words = "Too many rules are being checked; try again"
            raise Refusal(429, "too-many-replays", words, {"Retry-After": "5"})
        self._asked += 1
        try:
            wrong = await self._wrong(rules)
        finally:
            self._asked -= 1
        if wrong:
            raise Refusal(400, "bad-rule", wrong[:_MESSAGE_MAX], field="ruleFiles")

    async def _wrong(self, rules: Mapping[str, str]) -> str:
        async with self._room:
            with tempfile.TemporaryDirectory() as folder:
                for name, text in rules.items():
                    (Path(folder) / name).write_text(text, encoding="utf-8")
                return await _checked(folder)


async def _checked(folder: str) -> str:
    """What is wrong with a directory's rules; nothing where all are well."""
    bare = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "api.security.rule_check", folder),
        env=bare,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            told, _ = await process.communicate()
    except TimeoutError:
        return "The rules take too long to read"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 1:
        return told.decode(errors="replace") or "The rules can't be read"
    if process.returncode != 0:
        raise Refusal(503, "rules-unchecked", TRY_AGAIN, {"Retry-After": "5"})
    return ""
