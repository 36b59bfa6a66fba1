"""``device-ledger replay``: what rules would have raised over history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from device_ledger.cli.errors import FAILED, USAGE, CliError
from device_ledger.cli.times import TIMES_HELP, option_moment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from device_ledger.settings import Settings


From = Annotated[str, typer.Option("--from", help=f"The first moment: {TIMES_HELP}.")]
To = Annotated[str, typer.Option("--to", help="The moment before which it ends, as --from.")]
Rules = Annotated[
    list[Path] | None, typer.Option(help="Rule file, or directory of some; may come repeatedly.")
]
Bank = Annotated[
    str | None, typer.Option(help="Replay what is of one bank only, as its own officers see.")
]
Archive = Annotated[
    Path | None, typer.Option(help="An archive to replay without Kafka, with nothing to compare.")
]
Follow = Annotated[bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")]
Json = Annotated[Path | None, typer.Option(help="File to write the whole result to, as JSON.")]
ProgressFile = Annotated[
    Path | None, typer.Option(help="File that always holds the progress, as JSON.")
]


def replay(
    *,
    start: From,
    end: To = "now",
    rules: Rules = None,
    bank: Bank = None,
    archive: Archive = None,
    follow: Follow = False,
    json: Json = None,
    progress_file: ProgressFile = None,
) -> None:
    """Run rules over history, and compare with the alerts that were raised then.

    It changes nothing: alerts of then stay, none is raised. Change a rule's threshold in a copy and
    replay last week with it: *new* are alerts that it would have raised and that were not, *gone*
    those that were raised and would not be, *same* the rest. Without --rules it runs those of
    DEVICE_LEDGER_RULES. History is the archive that `device-ledger detector` writes, and what is
    on Kafka since: `device-ledger replay --from yesterday --to today --rules rules/device-farm.yml`
    """
    import asyncio

    from device_ledger.settings import settings

    if follow and archive is not None:
        raise CliError("--follow needs Kafka, --archive is without it", USAGE)
    asked = (option_moment("--from", start), option_moment("--to", end))
    if asked[0] >= asked[1]:
        raise CliError("--to must be after --from", USAGE)
    chosen = settings()
    where = {
        "archive": archive or chosen.home / "archive",
        "rules": rules or [chosen.rules],
        "brokers": None if archive else chosen.brokers,
        "bank_id": bank,
    }
    files = (json, progress_file)
    try:
        asyncio.run(_replay(chosen, asked, where, files, follow=follow))
    except asyncio.CancelledError:
        raise CliError("the replay was cancelled", FAILED) from None


async def _replay(
    settings: Settings,
    asked: tuple[str, str],
    where: dict[str, Any],
    files: tuple[Path | None, Path | None],
    *,
    follow: bool,
) -> None:
    import asyncio
    import os
    import signal
    from importlib import import_module

    from device_ledger.cli.replay_shown import Meter, show_alert, show_comparison

    json, progress_file = files
    running = import_module("projections.replay.running")
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    spill = settings.home / "run" / f"replay-{os.getpid()}"
    try:
        async with running.open_replay(**where, spill=spill) as opened:
            with Meter(progress_file) as meter:
                found = await opened.over(running.Range(*asked), meter.report)
            if json is not None:
                _write_whole(json, found.told())
            show_comparison(found, compared=where["brokers"] is not None)
            if follow:
                await _until_cancelled(opened.follow, found.asked.end, show_alert)
    except running.EXPECTED as error:
        raise CliError(str(error)) from error


async def _until_cancelled(
    follow: Callable[[str, Callable[[Any], None]], Awaitable[None]],
    since: str,
    show: Callable[[Any], None],
) -> None:
    """Follow until Ctrl-C, which is how it is meant to end."""
    import asyncio
    from contextlib import suppress

    with suppress(asyncio.CancelledError):
        await follow(since, show)


def _write_whole(path: Path, content: Any) -> None:
    import orjson

    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_bytes(orjson.dumps(content))
        draft.replace(path)
    except OSError as error:
        raise CliError(f"{path} can't be written: {error.strerror}") from error
