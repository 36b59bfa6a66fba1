"""The checker finds what breaks a promise: each mutant, once the fault that shows it has come."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random

import pytest

from tests.faults.checking import violations
from tests.faults.kinds import Stage
from tests.faults.kinds_machine import commits_late
from tests.faults.kinds_relay import topic_refuses
from tests.faults.kinds_workers import rows_locked
from tests.faults.load import Load
from tests.faults.mutants import MUTANTS
from tests.faults.points import points_in, source_file
from tests.faults.rig import Fault, Rig
from tests.support.published import without_topics

NOT_FOUND = 404
READY_WITHIN = 30.0
"""Seconds until a process that ended serves again."""
WITHIN = 6.0
"""Seconds until what has not come by then is lost."""


@pytest.fixture
async def servers(kafka: str) -> str:
    await without_topics(kafka)
    return kafka


def killed_at(mutant: str, text: str) -> Fault:
    """The end of a process before the line of a mutant that begins so."""
    module = MUTANTS[mutant].module
    source = MUTANTS[mutant].applied(source_file(module).read_text())
    [point] = [one for one in points_in(module, source) if one.text.startswith(text)]
    return Fault(point.name, 1, "SIGKILL")


async def killed_before_its_receipt(stage: Stage) -> None:
    """An API ends where the mutant has committed and keeps no receipt yet; the bank asks again.

    Once more where the load's command was committed first: its repetition may change nothing.
    """
    load, fault = stage.loads[0], killed_at("receipt-after-commit", "self._recorder.append(Unit(")
    for number in range(1, 11):
        await load.post("link", number)
        stage.rig.order("api", fault)
        if await load.post("unlink", number) == NOT_FOUND:
            return


async def killed_before_its_rows(stage: Stage) -> None:
    """A worker ends where the mutant has moved its position, and not written its rows."""
    stage.rig.order("streams", killed_at("position-before-rows", "self._append("))
    await stage.loads[0].post("link", 1)
    await stage.rig.until_fired("streams", 1)


async def commits_that_come_late(stage: Stage) -> None:
    """Several, since one may hold up all others, where it has the partition that they need."""
    for _ in range(3):
        await commits_late(stage)
        await stage.loads[0].answers(5)


SHOWN_BY: dict[str, tuple[Callable[[Stage], Awaitable[None]], str]] = {
    "receipt-after-commit": (killed_before_its_receipt, "refused, but wrote"),
    "ids-without-the-lock": (commits_that_come_late, "is missing"),
    "on-after-an-error": (topic_refuses, "is missing"),
    "no-prev-check": (rows_locked, "is missing"),
    "position-before-rows": (killed_before_its_rows, "is missing"),
}


def test_each_mutant_has_a_fault_that_shows_it() -> None:
    assert SHOWN_BY.keys() == MUTANTS.keys()


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_a_mutant_is_found(servers: str, tmp_path: Path, mutant: str) -> None:
    fault, told = SHOWN_BY[mutant]
    store = "postgresql" if "postgres" in MUTANTS[mutant].module else "sqlite"
    with Rig(tmp_path / "rig", store, servers, mutant) as rig:
        async with rig.running(), AsyncExitStack() as going_on:
            loads = [Load(rig, name, mutant) for name in rig.names if name.startswith("api")]
            for load in loads:
                await going_on.enter_async_context(load.going_on())
            await loads[0].answers(10)
            await fault(Stage(rig, loads, Random(mutant)))
            await loads[0].answers(20)
            await going_on.aclose()
            # Where a record is missing for ever, readers rightly never say that they are ready.
            with suppress(TimeoutError):
                await rig.until_ready(READY_WITHIN)
            commands = [command for load in loads for command in load.commands]
            found = await violations(rig.settings, commands, WITHIN)
    assert [one for one in found if told in one] != [], found
