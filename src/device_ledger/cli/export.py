"""``device-ledger export``: the trail, or a case, as a file for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from device_ledger.cli.errors import USAGE, CliError
from device_ledger.cli.times import TIMES_HELP, option_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from device_ledger.settings import Settings


_OUTCOMES = ("done", "refused", "found", "not-found")


class Format(StrEnum):
    """The formats of an export."""

    ndjson = "ndjson"
    csv = "csv"
    parquet = "parquet"
    ocsf = "ocsf"


_WITH_ALERT = (Format.ndjson, Format.ocsf)
"""The formats with a place for an alert, beside the lines."""

As = typer.Option("--format", "-f", help="See docs/export.md for what each holds.")
Out = typer.Option("--output", "-o", help="File to write; `-` is the standard output.")
Since = typer.Option("--from", help=f"The first moment: {TIMES_HELP}.")
Until = typer.Option("--to", help="The moment before which it ends, as --from.")
Token = typer.Option(help="Only lines of the device with this token.")
Id = typer.Option(help="The same by the device's ID; `-` reads it from the standard input.")
Customer = typer.Option(help="Only lines of this customer ID or user ID.")
Bank = typer.Option(help="Only this bank's lines.")
Type = typer.Option("--type", help="Only lines of this type (device.linked.v1); may come again.")
Outcome = typer.Option(help="Only lines of this outcome: done, refused, found or not-found.")
Alert = typer.Option(help="A case: this alert, and its evidence instead of other lines.")
Archive = typer.Option("--archive-only", help="Leave out what is not archived yet: needs no Kafka.")


def export(
    *,
    format_: Annotated[Format, As] = Format.ndjson,
    output: Annotated[str, Out] = "-",
    since: Annotated[str, Since] = "",
    until: Annotated[str, Until] = "",
    device_token: Annotated[str, Token] = "",
    device_id: Annotated[str, Id] = "",
    customer: Annotated[str, Customer] = "",
    bank: Annotated[str, Bank] = "",
    types: Annotated[list[str] | None, Type] = None,
    outcome: Annotated[str, Outcome] = "",
    alert: Annotated[str, Alert] = "",
    archive_only: Annotated[bool, Archive] = False,
) -> None:
    """Export the trail: events and access records, in the order in which they were recorded.

    It reads the archive and, from Kafka, what is not archived yet. Sealed values are not among what
    is exported: devices are named by their tokens. A file is there whole or not at all.

    The case of an alert, for a system that reads OCSF:
    `device-ledger export --alert ALERT-ID --format ocsf -o case.ndjson`

    A device's January, for a spreadsheet:
    `device-ledger export --device-token TOKEN --from 2026-01-01 --to 2026-02-01 -f csv -o a.csv`
    """
    from device_ledger.settings import settings

    named = {"device_token": device_token, "device_id": device_id, "customer": customer}
    filters = named | {"since": since, "until": until, "outcome": outcome, "types": types}
    _export(settings(), Wanted(format_, output, filters, bank or None, alert, archive_only))


@dataclass(frozen=True)
class Wanted:
    """What was asked for; ``filters`` as they were given."""

    format: Format
    output: str
    filters: dict[str, Any]
    bank: str | None
    alert: str
    archive_only: bool


def _export(settings: Settings, wanted: Wanted) -> None:
    import asyncio
    from importlib import import_module
    from pathlib import Path
    from tempfile import mkdtemp

    reading = import_module("projections.export.source")
    run = import_module("projections.export.run")
    filters = _checked(settings, wanted)
    spill = Path(mkdtemp(prefix="device-ledger-export-"))
    opened = reading.open_source(settings.home / "archive", spill=spill, bank_id=wanted.bank)
    try:
        with opened as source:
            if not wanted.archive_only:
                asyncio.run(source.read_on(settings.brokers))
            case = None
            selection = run.Selection(bank_id=wanted.bank, **filters)
            if wanted.alert:
                case = asyncio.run(run.find_alert(settings, wanted.alert, wanted.bank))
                selection = run.evidence_of(case)
            with _sink(wanted) as out, _progress() as report:
                to = (wanted.format.value, out)
                count = run.export(source, selection, to, report, case)
    except reading.ExportError as error:
        raise CliError(str(error)) from error
    except BrokenPipeError:
        raise CliError("whoever read the export went away before its end") from None
    except OSError as error:
        raise CliError(f"cannot write {wanted.output}: {error.strerror}") from error
    before = "the alert and " if case and wanted.format in _WITH_ALERT else ""
    typer.echo(f"{before}{count:,} lines exported", err=True)


def _checked(settings: Settings, wanted: Wanted) -> dict[str, Any]:
    """The filters as a selection takes them."""
    given = {name: value for name, value in wanted.filters.items() if value}
    if wanted.alert and given:
        raise CliError("--alert stands alone: of the filters only --bank goes with it", USAGE)
    if {"device_id", "device_token"} <= given.keys():
        raise CliError("--device-id and --device-token are two ways to say one thing", USAGE)
    if given.get("outcome", "done") not in _OUTCOMES:
        raise CliError(f"--outcome is one of: {', '.join(_OUTCOMES)}", USAGE)
    _check_types(given.get("types", ()))
    for name, option in (("since", "--from"), ("until", "--to")):
        if name in given:
            given[name] = option_moment(option, given[name])
    if "device_id" in given:
        given["device_token"] = _token_of(settings, given.pop("device_id"))
    return given | {"types": tuple(given.get("types", ()))}


def _check_types(types: Iterable[str]) -> None:
    from device_ledger.wire.access import ACCESS_TYPES
    from device_ledger.wire.events import EVENT_TYPES

    known = {*EVENT_TYPES, *ACCESS_TYPES}
    if unknown := [one for one in types if one not in known]:
        raise CliError(f"--type {unknown[0]} is none; they are: {', '.join(sorted(known))}", USAGE)


def _token_of(settings: Settings, device_id: str) -> str:
    """A device's token by its ID, which goes no further than here."""
    import sys

    from device_ledger.domain.values import InvalidDeviceIdError
    from device_ledger.domain.values import device_id as checked
    from device_ledger.keyfile import KeyLoadingError
    from device_ledger.vault.keys import load_keys

    text = sys.stdin.readline().strip() if device_id == "-" else device_id
    try:
        return load_keys(settings).token.device(checked(text))
    except InvalidDeviceIdError as error:
        raise CliError(str(error), USAGE) from None
    except KeyLoadingError as error:
        raise CliError(f"--device-id needs the token key here: {error}") from error


def _sink(wanted: Wanted) -> AbstractContextManager[BinaryIO]:
    """The standard output, or a file that takes its name when it is whole."""
    import sys
    from contextlib import nullcontext
    from pathlib import Path

    if wanted.output != "-":
        return _whole(Path(wanted.output))
    if wanted.format is Format.parquet and sys.stdout.isatty():
        raise CliError("Parquet is not for a terminal: name a file by -o", USAGE)
    return nullcontext(sys.stdout.buffer)


def _whole(path: Path) -> AbstractContextManager[BinaryIO]:
    import os
    from contextlib import contextmanager, suppress
    from tempfile import NamedTemporaryFile

    @contextmanager
    def writing() -> Iterator[BinaryIO]:
        # Of mode 0600: pseudonyms of customers are in it.
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                yield file  # type: ignore[misc]
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path)  # noqa: PTH105 - the same for both paths
            except BaseException:
                with suppress(OSError):
                    os.unlink(file.name)  # noqa: PTH108
                raise

    return writing()


def _progress() -> AbstractContextManager[Any]:
    """A bar on the standard error, told of lines done and lines in all."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    class Rate(TextColumn):
        def render(self, task: Any) -> Any:
            return f"{task.speed or 0:,.0f} lines/s"

    @contextmanager
    def shown() -> Iterator[Any]:
        columns = (BarColumn(), MofNCompleteColumn(), Rate(""), TimeLeft())
        console = Console(stderr=True)
        shows = console.is_terminal
        with Progress(*columns, console=console, transient=True, disable=not shows) as progress:
            task = progress.add_task("export", total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    return shown()
