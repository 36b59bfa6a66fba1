"""``device-ledger simulate --archive``: a made-up history as an archive, without a ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from device_ledger.cli.errors import USAGE, CliError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.progress import Progress

    from device_ledger.cli.simulate import Crowd
    from device_ledger.simulation.scribe import Line
    from device_ledger.simulation.story import Label

_EACH_MAX: Final = 12
"""Scenes of a kind in a day, so that they stay apart."""


def write_history(
    crowd: Crowd, entries: int, archive: Path, labels: Path | None, *, attacks: bool
) -> None:
    """Write an archive of about ``entries`` entries of the crowd's days, and what is known of it.

    Raises:
        CliError: it can't be written, or is there.
    """
    import typer

    from device_ledger.simulation.everyday import Phase
    from device_ledger.simulation.history import commands_for, lines_of
    from device_ledger.simulation.scribe import Scribe
    from device_ledger.simulation.story import Story

    if archive.exists() and any(archive.iterdir()):
        raise CliError(f"{archive} is not empty: name another folder", USAGE)
    commands = commands_for(entries, crowd.lookups)
    phase = Phase(crowd.start, crowd.days, commands, crowd.customers)
    each = min(1 + entries // 100_000, _EACH_MAX) if attacks else 0
    story = Story(crowd.population, [phase], each)
    lines = lines_of(story, Scribe(crowd.seed), crowd.lookups)
    written = write_archive(archive, lines, entries + story.scene_calls)
    typer.echo(f"wrote {written:,} entries of {crowd.days} days to {archive}")
    if labels is not None:
        write_labels(labels, story.labels)
    if attacks:
        told = sum(1 for label in story.labels if label.attack)
        typer.echo(f"{told} attacks, {len(story.labels) - told} look-alikes")
        tell_left_out(kind.name for kind in story.left_out)


def write_archive(archive: Path, lines: Iterator[Line], about: int) -> int:
    """Write the lines to an archive, with a progress bar; how many they were.

    Raises:
        CliError: it can't be written.
    """
    import tempfile
    from importlib import import_module

    from rich.console import Console
    from rich.progress import MofNCompleteColumn
    from rich.progress import Progress as Bar

    from device_ledger.wire.trail import EVENTS_LOG

    making = import_module("projections.archive.make")
    columns = (*Bar.get_default_columns(), MofNCompleteColumn())
    with (
        Bar(*columns, console=Console(stderr=True)) as progress,
        tempfile.TemporaryFile() as access,
    ):
        taken = _Taken(progress, about)

        def events() -> Iterator[bytes]:
            for line in taken.of(lines):
                if line.log == EVENTS_LOG:
                    yield line.value
                else:
                    access.write(line.value + b"\n")
            access.seek(0)

        try:
            making.write_archive(archive, events(), (line.rstrip(b"\n") for line in access))
        except OSError as error:
            raise CliError(f"{archive} can't be written: {error.strerror}") from None
        return taken.count


def write_labels(file: Path, labels: Iterable[Label]) -> None:
    """Write the labels, one a line as JSON.

    Raises:
        CliError: the file can't be written.
    """
    lines = (json.dumps(label.as_json(), ensure_ascii=False) + "\n" for label in labels)
    try:
        file.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise CliError(f"can't write {file}: {error.strerror}") from None


def tell_left_out(names: Iterable[str]) -> None:
    """Say on stderr which kinds of scene had no room."""
    import typer

    if left_out := ", ".join(names):
        typer.echo(f"left out, since they need more days than there are: {left_out}", err=True)


class _Taken:
    """Counts the lines that go by, and shows them."""

    def __init__(self, progress: Progress, about: int) -> None:
        self.count = 0
        self._progress = progress
        self._task: Any = progress.add_task("Writing", total=about)

    def of(self, lines: Iterator[Line]) -> Iterator[Line]:
        """The same lines."""
        for line in lines:
            self.count += 1
            if self.count % 1000 == 0:
                self._progress.update(self._task, completed=self.count)
            yield line
        self._progress.update(self._task, completed=self.count, total=self.count)
