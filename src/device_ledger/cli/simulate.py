"""``device-ledger simulate``: the traffic of a made-up population, posted to a ledger."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from device_ledger.cli.errors import FAILED, USAGE, CliError

if TYPE_CHECKING:
    from device_ledger.cli.post import Answer, Door, Request
    from device_ledger.simulation.traffic import Call

# Refusals are part of the traffic; these say that something is wrong with us or with the ledger.
_WRONG = frozenset((401, 403, 422, *range(500, 600)))

Share = typer.Option(min=0, help="Merchants' lookups for each command.")
Day = typer.Option(formats=["%Y-%m-%d"], help="First day, in UTC; a past one.")
Url = typer.Option(help="The API's address; by default that of the settings.")
Rate = typer.Option(min=0.001, help="Calls a second; by default as fast as they are answered.")
Patience = typer.Option(min=0, help="Seconds for which a call is tried again.")
Tokens = typer.Option(
    help='JSON file {"bank-01": "token", …}; by default tokens of the embedded issuer.'
)
Out = typer.Option(help="File that gets every call: NDJSON, or CSV in RBA columns where so named.")


def simulate(
    *,
    commands: Annotated[int, typer.Option(min=1, help="Commands to make.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same calls.")] = 1,
    banks: Annotated[int, typer.Option(min=1)] = 3,
    customers: Annotated[int, typer.Option(min=1, help="Customers of all banks.")] = 1000,
    merchants: Annotated[int, typer.Option(min=1)] = 20,
    lookups: Annotated[float, Share] = 0.0,
    start: Annotated[datetime, Day] = datetime(2026, 1, 5),  # noqa: DTZ001
    days: Annotated[int, typer.Option(min=1, help="Days that the calls are spread over.")] = 7,
    url: Annotated[str, Url] = "",
    rate: Annotated[float | None, Rate] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Calls under way.")] = 32,
    patience: Annotated[float, Patience] = 120.0,
    tokens: Annotated[Path | None, Tokens] = None,
    out: Annotated[Path | None, Out] = None,
    answers: Annotated[Path | None, typer.Option(help="NDJSON file of every answer.")] = None,
    post: Annotated[bool, typer.Option(help="Post the calls, or only write them.")] = True,
) -> None:
    """Post the traffic of a made-up population of banks, customers, devices and merchants.

    Devices are linked, seen at logins, unlinked and deactivated through the hours of made-up
    days; some commands come twice and some must be refused. Each carries an Idempotency-Key made
    of seed and number: a run that was interrupted is safe to start again within a day.
    """
    from device_ledger.simulation.population import Population
    from device_ledger.simulation.traffic import Traffic

    if not post and out is None:
        raise CliError("--no-post without --out does nothing", USAGE)
    population = Population(seed, banks, customers, merchants)
    traffic = Traffic(population, start.replace(tzinfo=UTC), days)
    _run(
        traffic.calls(commands, lookups),
        count=commands + int(commands * lookups),
        name=_name(population, commands, lookups, start, days),
        door=_door(url, tokens, concurrency, rate, patience) if post else None,
        out=out,
        answers=answers,
    )


def _name(*shape: object) -> str:
    """The name of a run, for its Idempotency-Keys: another shape makes other calls."""
    return f"simulate-{sha256(repr(shape).encode()).hexdigest()[:16]}"


def _door(
    url: str, tokens: Path | None, concurrency: int, rate: float | None, patience: float
) -> "Door":
    from device_ledger.cli import bearers
    from device_ledger.cli.post import Door
    from device_ledger.settings import settings

    chosen = settings()
    bearer = bearers.from_file(tokens) if tokens else bearers.of_embedded_issuer(chosen)
    address = url.rstrip("/") or f"http://{chosen.host}:{chosen.port}"
    return Door(address, bearer, concurrency, rate, patience)


def _run(
    calls: "Iterator[Call]",
    *,
    count: int,
    name: str,
    door: "Door | None",
    out: Path | None,
    answers: Path | None,
) -> None:
    from device_ledger.simulation.table import writer

    try:
        with ExitStack() as files:
            if out is not None:
                calls = _written(calls, files.enter_context(writer(out)))
            if door is None:
                typer.echo(f"wrote {sum(1 for _ in calls)} calls to {out}")
                return
            file = files.enter_context(answers.open("wb")) if answers else None
            tally = _post(door, (_request(call, name) for call in calls), count, file)
    except OSError as error:
        raise CliError(f"can't write {error.filename}: {error.strerror}") from None
    _show(tally)
    if any(status in _WRONG for _, status in tally):
        raise typer.Exit(FAILED)


def _written(calls: "Iterator[Call]", write: "Callable[[Call], None]") -> "Iterator[Call]":
    for call in calls:
        write(call)
        yield call


def _request(call: "Call", name: str) -> "Request":
    from device_ledger.cli.post import Request

    return Request(
        number=call.number,
        kind="merchant" if call.verb == "lookup" else "bank",
        caller=call.caller,
        path=call.path,
        body=call.body,
        lane=call.body["deviceId"],
        idempotency_key=f"{name}-{call.number}",
    )


def _post(
    door: "Door", requests: "Iterable[Request]", count: int, answers: Any
) -> Counter[tuple[str, int]]:
    import asyncio

    import orjson
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    from device_ledger.cli.post import post_all

    tally: Counter[tuple[str, int]] = Counter()
    with Progress(
        *Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True)
    ) as progress:
        task = progress.add_task("Posting", total=count)

        def answered(request: "Request", answer: "Answer") -> None:
            tally[request.path.rpartition("/")[2], answer.status] += 1
            progress.advance(task)
            if answers is not None:
                line = {
                    "n": request.number,
                    "key": request.idempotency_key,
                    "status": answer.status,
                    "body": answer.body,
                }
                answers.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

        asyncio.run(post_all(door, requests, answered))
    return tally


def _show(tally: Counter[tuple[str, int]]) -> None:
    from rich.console import Console
    from rich.table import Table

    statuses = sorted({status for _, status in tally})
    table = Table("call", *(str(status) for status in statuses), title="Answers")
    for verb in sorted({verb for verb, _ in tally}):
        table.add_row(verb, *(str(tally[verb, status] or "") for status in statuses))
    Console().print(table)
