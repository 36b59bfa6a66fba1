"""``make faults``: rounds of faults, for as long as they are given time."""

import asyncio
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from tests.faults import figures
from tests.faults.load import Load
from tests.faults.points import all_points
from tests.faults.rig import Rig
from tests.faults.rounds import BLOCK, Card, Result, play, rounds

RESULTS = Path(__file__).parents[2] / ".faults" / "results.ndjson"

Hours = typer.Option(min=0, help="How long to go on; by default until a seed's rounds are done.")
Seed = typer.Option(envvar="FAULT_SEED", help="Which rounds; those of 1, 2, 3 … by default.")
Number = typer.Option(
    "--round", envvar="FAULT_ROUND", min=1, help="Play just this round of the seed."
)
Results = typer.Option(help="Where results are kept; a run goes on behind those that are there.")
Only = typer.Option(help="Play only rounds whose store and name have this text in them.")
Keep = typer.Option(help="Keep the homes of all systems, not only of those that failed.")
Docs = typer.Option(help="Write the table of figures into docs/reliability.md.")

app = typer.Typer(
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)


@app.command()
def main(
    *,
    hours: Annotated[float | None, Hours] = None,
    seed: Annotated[int, Seed] = 1,
    number: Annotated[int | None, Number] = None,
    results: Annotated[Path, Results] = RESULTS,
    only: Annotated[str, Only] = "",
    docs: Annotated[bool, Docs] = True,
    keep: Annotated[bool, Keep] = False,
) -> None:
    """Fail processes, broker and stores at every step, and check after each round that nothing is
    lost, there twice, or out of order.

    Exit code 1: a round failed, or there is a fault point that had no fault yet.

        make faults HOURS=0.5
        FAULT_SEED=1 FAULT_ROUND=17 make faults
    """
    for point in all_points():
        say(f"{point.phase:8} {point.name}  {point.text}")
    say(f"{len(all_points())} fault points")
    if number is not None:
        store, card = rounds(seed)[number - 1]
        failed = asyncio.run(_block(store, seed, [(number, card)], float("inf"), None, keep=keep))
        raise typer.Exit(failed)
    until = time.monotonic() + hours * 3600 if hours is not None else float("inf")
    results.parent.mkdir(parents=True, exist_ok=True)
    failed = _run(seed, until, results, only, keep=keep)
    told = figures.read(results)
    missing = figures.missing(told)
    if docs:
        figures.write(told, _machine())
    for name in missing:
        say(f"no fault yet at {name}")
    say(figures.summary(told))
    if missing:
        say(f"{len(missing)} fault points had no fault: run the same again to go on")
    raise typer.Exit(1 if failed or missing else 0)


def _run(seed: int, until: float, results: Path, only: str, *, keep: bool) -> int:
    """Play what is left of the seed's rounds; how many failed."""
    done = {
        (one.store, one.name)
        for one in figures.read(results)
        if one.seed == seed and not one.violations
    }
    left = [
        (number, store, card)
        for number, (store, card) in enumerate(rounds(seed), 1)
        if (store, card.name) not in done and only in f"{store}: {card.name}"
    ]
    failed = 0
    for (_, store), group in groupby(left, key=lambda one: ((one[0] - 1) // BLOCK, one[1])):
        if time.monotonic() >= until:
            break
        block = [(number, card) for number, _, card in group]
        failed += asyncio.run(_block(store, seed, block, until, results, keep=keep))
    return failed


async def _block(
    store: str,
    seed: int,
    cards: list[tuple[int, Card]],
    until: float,
    results: Path | None,
    *,
    keep: bool,
) -> int:
    """Rounds on one system, a new one after each that failed; how many failed."""
    failed = 0
    while cards and time.monotonic() < until:
        folder = Path(tempfile.mkdtemp(prefix="faults-"))
        with Rig(folder, store) as rig:
            async with rig.running():
                doors = [name for name in rig.names if name.startswith("api")]
                loads = [Load(rig, door, f"{seed}-{cards[0][0]}") for door in doors]
                while cards and time.monotonic() < until:
                    number, card = cards.pop(0)
                    result = Result(seed, number, store, card.sort, card.name, [*card.points])
                    await play(rig, loads, card, result)
                    _tell(result, results)
                    if result.violations:
                        failed += 1
                        break
        if result.violations or keep:
            say(f"  its logs: {folder / 'home' / 'logs'}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return failed


def _tell(result: Result, results: Path | None) -> None:
    if results is not None:
        with results.open("a") as file:
            file.write(f"{json.dumps(asdict(result))}\n")
    came = "ok" if not result.violations else "FAILED"
    say(
        f"seed {result.seed} round {result.round} on {result.store}: {result.name}: {came}, "
        f"{result.commands} commands, all served after {result.ready} s and showed what came then "
        f"after {result.recovery} s, {result.seconds} s in all"
    )
    for one in result.violations[:20]:
        say(f"  {one}")
    if result.violations:
        say(f"  again: FAULT_SEED={result.seed} FAULT_ROUND={result.round} make faults")


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def say(line: str) -> None:
    """A line for whoever runs it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    app()
