"""``device-ledger simulate``: the traffic of a made-up population, posted or as an archive."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from device_ledger.cli.errors import FAILED, USAGE, CliError

if TYPE_CHECKING:
    from device_ledger.cli.post import Answer, Door, Request
    from device_ledger.simulation.population import Population
    from device_ledger.simulation.story import Label, Told
    from device_ledger.simulation.traffic import Call

# Refusals are part of the traffic; these say that something is wrong with us or with the ledger.
_WRONG = frozenset((401, 403, 422, *range(500, 600)))

Share = typer.Option(
    min=0, help="Merchants' lookups for each command; 0, with attacks or an archive 0.4."
)
Day = typer.Option(formats=["%Y-%m-%d"], help="First day, in UTC; a past one.")
Url = typer.Option(help="The API's address; by default that of the settings.")
Rate = typer.Option(min=0.001, help="Calls a second; by default as fast as they are answered.")
Patience = typer.Option(min=0, help="Seconds for which a call is tried again.")
Tokens = typer.Option(
    help='JSON file {"bank-01": "token", …}; by default tokens of the embedded issuer.'
)
Attacks = typer.Option(help="Hide labelled attacks in ordinary life.")
Labels = typer.Option(help="NDJSON file that tells where the attacks are.")
Archive = typer.Option(help="Folder to write the history to, instead of posting the calls.")
Entries = typer.Option(min=1, help="Entries of the trail in the archive, about.")
Out = typer.Option(help="File that gets every call: NDJSON, or CSV in RBA columns where so named.")

HELP = """Post the traffic of a made-up population of banks, customers, devices and merchants.

Devices are linked, seen at logins, unlinked and deactivated through the hours of made-up days;
some commands come twice and some must be refused. Each carries an Idempotency-Key made of seed and
number: a run that was interrupted is safe to start again within a day.

With `--attacks` people live as in real life, and on the last day attacks are hidden among them, one
of each kind that calls can play in minutes, and as many scenes that only look like one. `--labels`
says afterwards which they were:

    device-ledger simulate --attacks --labels labels.ndjson

With `--archive` nothing is posted: the history that the calls would have left, at the times they
were made, is written as Parquet for `device-ledger replay --archive`. All kinds of attack need four
months of it:

    device-ledger simulate --archive history --days 120 --events 100000 --attacks
"""


def simulate(
    *,
    commands: Annotated[int, typer.Option(min=1, help="Commands to make.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same calls.")] = 1,
    banks: Annotated[int, typer.Option(min=1)] = 3,
    customers: Annotated[int, typer.Option(min=1, help="Customers of all banks.")] = 1000,
    merchants: Annotated[int, typer.Option(min=1)] = 20,
    lookups: Annotated[float | None, Share] = None,
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
    attacks: Annotated[bool, Attacks] = False,
    labels: Annotated[Path | None, Labels] = None,
    archive: Annotated[Path | None, Archive] = None,
    events: Annotated[int, Entries] = 100_000,
) -> None:
    """Post the traffic of a made-up population, or write down the history that it would leave."""
    _check(post=post, out=out, attacks=attacks, labels=labels)
    share = lookups if lookups is not None else 0.4 if attacks or archive else 0.0
    crowd = Crowd(seed, banks, customers, merchants, start.replace(tzinfo=UTC), days, share)
    if archive is not None:
        from device_ledger.cli.simulate_history import write_history

        write_history(crowd, events, archive, labels, attacks=attacks)
        return
    plan = _Plan(crowd, commands, attacks=attacks)
    door = _door(url, tokens, concurrency, rate, patience) if post else None
    try:
        _run(plan, door, out, answers)
    finally:
        plan.tell(labels)


@dataclass(frozen=True)
class Crowd:
    """Who lives through which days, and how many lookups come for each command."""

    seed: int
    banks: int
    customers: int
    merchants: int
    start: datetime
    days: int
    lookups: float

    @property
    def population(self) -> "Population":
        """The people and shops."""
        from device_ledger.simulation.population import Population

        return Population(self.seed, self.banks, self.customers, self.merchants)


def _check(*, post: bool, out: Path | None, attacks: bool, labels: Path | None) -> None:
    if not post and out is None:
        raise CliError("--no-post without --out does nothing", USAGE)
    if labels is not None and not attacks:
        raise CliError("--labels without --attacks: there is nothing to label", USAGE)


class _Plan:
    """The calls to make, and which of them are of a labelled scene."""

    def __init__(self, crowd: Crowd, commands: int, *, attacks: bool) -> None:
        from device_ledger.simulation.everyday import Phase
        from device_ledger.simulation.story import Story
        from device_ledger.simulation.traffic import Traffic

        share, days = crowd.lookups, crowd.days
        self.labels: list[Label] = []
        self._of: dict[int, Label] = {}
        self.count = commands + int(commands * share)
        # Other days of the same people make the same calls under other times: another run.
        shape = (crowd, commands, *(["attacks"] if attacks else []))
        self.name = f"simulate-{sha256(repr(shape).encode()).hexdigest()[:16]}"
        if attacks:
            phase = Phase(crowd.start, max(days, 2), commands, crowd.customers)
            story = Story(crowd.population, [phase], 1, over_http=True)
            self.labels = story.labels
            self.count += story.scene_calls
            self.calls = self._numbered(story.calls(share))
        else:
            self.calls = Traffic(crowd.population, crowd.start, days).calls(commands, share)

    def answered(self, number: int) -> None:
        """A call was answered now."""
        from device_ledger.simulation.acts import timestamp

        if (label := self._of.get(number)) is not None:
            label.saw(timestamp(datetime.now(UTC)))

    def tell(self, file: Path | None) -> None:
        """Write what is known of the scenes that were played."""
        from device_ledger.cli.simulate_history import write_labels

        if file is not None:
            write_labels(file, self.labels)

    def _numbered(self, told: "Iterator[Told]") -> "Iterator[Call]":
        from device_ledger.simulation.scribe import Check

        for number, (call, label) in enumerate(told, 1):
            if isinstance(call, Check):
                continue
            if label is not None:
                self._of[number] = label
            yield replace(call, number=number)


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


def _run(plan: _Plan, door: "Door | None", out: Path | None, answers: Path | None) -> None:
    from device_ledger.simulation.table import writer

    calls = plan.calls
    try:
        with ExitStack() as files:
            if out is not None:
                calls = _written(calls, files.enter_context(writer(out)))
            if door is None:
                typer.echo(f"wrote {sum(1 for _ in calls)} calls to {out}")
                return
            file = files.enter_context(answers.open("wb")) if answers else None
            tally = _post(door, (_request(call, plan.name) for call in calls), plan, file)
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
    door: "Door", requests: "Iterable[Request]", plan: _Plan, answers: Any
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
        task = progress.add_task("Posting", total=plan.count)

        def answered(request: "Request", answer: "Answer") -> None:
            tally[request.path.rpartition("/")[2], answer.status] += 1
            progress.advance(task)
            plan.answered(request.number)
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
