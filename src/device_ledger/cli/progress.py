"""How commands show how far they are with many records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress


def records_progress() -> Progress:
    """Progress on stderr: how many of how many, how fast, how long still."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    class Rate(TextColumn):
        def render(self, task: Any) -> Any:
            return f"{task.speed or 0:,.0f} records/s"

    return Progress(
        TextColumn("{task.description:8}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(""),
        TimeLeft(),
        console=Console(stderr=True),
    )


def bytes_progress() -> Progress:
    """Progress on stderr: how many bytes of how many, how fast, how long still."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeLeft(),
        console=Console(stderr=True),
    )
