"""``device-ledger import``: links and logins from a file, posted as commands."""

import csv
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, TextIO

import typer

from device_ledger.cli.errors import FAILED, CliError

if TYPE_CHECKING:
    from device_ledger.cli.import_lines import BadLine, Line
    from device_ledger.cli.post import Answer, Door, Request

_COMMANDS = "/v1/bank/customer/device/"
_NO_TOKEN = (401, 403)

File = typer.Argument(help="CSV (.csv, with a header) or NDJSON (any other name), in UTF-8.")
Bank = typer.Option(help="The bank whose customers these are.")
Token = typer.Option(
    envvar="DEVICE_LEDGER_TOKEN", help="The bank's token; by default the embedded issuer's."
)
Url = typer.Option(help="The API's address; by default that of the settings.")
Report = typer.Option(help="CSV file that gets the refused lines; by default FILE.refused.csv.")
Run = typer.Option(help="Name of this run; another one asks refused lines anew within a day.")
Patience = typer.Option(min=0, help="Seconds for which a line is tried again.")


def import_file(
    file: Annotated[Path, File],
    *,
    bank_id: Annotated[str, Bank],
    token: Annotated[str, Token] = "",
    url: Annotated[str, Url] = "",
    report: Annotated[Path | None, Report] = None,
    run: Annotated[str, Run] = "",
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Lines under way.")] = 32,
    patience: Annotated[float, Patience] = 120.0,
) -> None:
    """Import a bank's links and logins from a file, as commands through the ledger.

    A line with a `phrase` is a link: `customerId`, `deviceId`, `phrase`. Any other is a login:
    `customerId`, `deviceId`, `seenAt`, and where known `ipAddress`, `userAgent`, `deviceName`,
    `deviceType`, `deviceInfo` (in CSV `deviceInfo.model`, `deviceInfo.brand` and so on). A column
    `command` (`link` or `login-seen`) says it outright. Empty cells count as absent.

    Lines that the ledger or a rule refuses are reported with their number and the reason, never
    with what they hold; the exit code is then 1. It is safe to run again: each line carries an
    Idempotency-Key made of what it holds, and what is already there changes nothing.
    """
    from device_ledger.cli.import_lines import opened

    door = _door(url, token, concurrency, patience)
    report = report or file.with_name(f"{file.name}.refused.csv")
    with opened(file) as (raw, lines), _writable(report) as out:
        work = _Import(bank_id, run, out)
        _post(door, work, lines, raw, file.stat().st_size)
    refusals = f"{work.refused} refused: see {report}" if work.refused else "none refused"
    typer.echo(f"{work.done} lines imported, {refusals}")
    if work.refused:
        raise typer.Exit(FAILED)


class _Import:
    """Turns lines into requests, and answers into counts and a report."""

    def __init__(self, bank_id: str, run: str, report: TextIO) -> None:
        self.done = self.refused = 0
        self._bank_id = bank_id
        self._run = run
        self._report = csv.writer(report)
        self._report.writerow(("line", "status", "reason"))

    def requests(self, lines: "Iterable[Line | BadLine]") -> "Iterator[Request]":
        """The requests of the good lines; the bad ones are reported."""
        from device_ledger.cli.import_lines import BadLine
        from device_ledger.cli.post import Request

        for line in lines:
            if isinstance(line, BadLine):
                self._refuse(line.number, "", line.reason)
                continue
            content = json.dumps([self._run, self._bank_id, line.verb, line.body], sort_keys=True)
            yield Request(
                number=line.number,
                kind="bank",
                caller=self._bank_id,
                path=_COMMANDS + line.verb,
                body=line.body,
                lane=line.body["deviceId"],
                idempotency_key=f"import-{sha256(content.encode()).hexdigest()}",
            )

    def answered(self, request: "Request", answer: "Answer") -> None:
        """Count an answer, or report the refusal.

        Raises:
            CliError: the token is refused, and so would be every other line.
        """
        if answer.status in _NO_TOKEN:
            raise CliError(f"the ledger refuses the token of {self._bank_id} ({answer.status})")
        if answer.status == HTTPStatus.OK:
            self.done += 1
            return
        message = answer.body.get("message", "") if isinstance(answer.body, dict) else ""
        self._refuse(request.number, str(answer.status), message)

    def _refuse(self, line: int, status: str, reason: str) -> None:
        self.refused += 1
        self._report.writerow((line, status, reason))


def _door(url: str, token: str, concurrency: int, patience: float) -> "Door":
    from device_ledger.cli import bearers
    from device_ledger.cli.post import Door
    from device_ledger.settings import settings

    chosen = settings()
    bearer = (lambda *_: token) if token else bearers.of_embedded_issuer(chosen)
    address = url.rstrip("/") or f"http://{chosen.host}:{chosen.port}"
    return Door(address, bearer, concurrency, patience_seconds=patience)


@contextmanager
def _writable(report: Path) -> Iterator[TextIO]:
    try:
        file = report.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise CliError(f"can't write {report}: {error.strerror}") from None
    with file:
        yield file


def _post(
    door: "Door", work: _Import, lines: "Iterable[Line | BadLine]", raw: BinaryIO, size: int
) -> None:
    import asyncio

    from rich.console import Console
    from rich.progress import Progress

    from device_ledger.cli.post import post_all

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("Importing", total=size)

        def told(request: "Request", answer: "Answer") -> None:
            work.answered(request, answer)
            progress.update(task, completed=raw.tell())

        asyncio.run(post_all(door, work.requests(lines), told))
        progress.update(task, completed=size)
