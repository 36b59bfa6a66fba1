"""Which faults there are, in which order a seed deals them, and how a round is played."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Final

from tests.faults import kinds, kinds_machine, kinds_relay, kinds_workers
from tests.faults.checking import violations
from tests.faults.kinds import Kind, Stage, at_point, together
from tests.faults.load import Load
from tests.faults.points import Point, all_points
from tests.faults.rig import RECOVERY_SECONDS, Rig
from tests.support.answers_check import Command
from tests.support.read_models import until_shown

STORES: Final = ("sqlite", "postgresql")
BLOCK: Final = 15
"""Rounds that follow each other on one system."""
ROUND_SECONDS: Final = 300.0
PAIRS: Final = 20
"""Random pairs of faults at points, on each store."""

PROCESSES: Final = ("api", "relay", "streams", "broker")
WRITERS: Final = ("api", "streams", "broker")

EVERYWHERE: Final[dict[str, Kind]] = {
    **{f"kill {name}": kinds_machine.ended(name) for name in ("api", "relay", "streams", "broker")},
    **{f"pause {name}": kinds_machine.hung(name) for name in ("api", "relay", "streams", "broker")},
    **{
        f"disk full, {name}": kinds_machine.disk_full(name) for name in ("api", "streams", "broker")
    },
    "clocks jump": kinds_machine.clock_jumps,
    "two relays": kinds_relay.two_relays,
    "topic deleted": kinds_relay.topic_deleted,
    "topic truncated": kinds_relay.topic_truncated,
    "topic refuses": kinds_relay.topic_refuses,
    "foreign records": kinds.foreign_records,
    "worker loses its group": kinds_workers.worker_paused_past_its_group,
    "group's offsets gone": kinds_workers.group_gone,
    "group's offsets ahead": kinds_workers.group_ahead,
    "older read models": kinds_workers.older_rows,
    "read models deleted": kinds_workers.rows_deleted,
    "read model locked": kinds_workers.rows_locked,
    "read models read-only": kinds_workers.rows_read_only,
}
ON_SQLITE: Final[dict[str, Kind]] = {"older event store": kinds_relay.older_event_store}
ON_POSTGRESQL: Final[dict[str, Kind]] = {
    "rebalances": kinds_workers.rebalances,
    "commits late": kinds_machine.commits_late,
    "kill postgres": kinds_machine.ended("postgres"),
    "pause postgres": kinds_machine.hung("postgres"),
    "disk full, postgres": kinds_machine.disk_full("postgres"),
}


@dataclass(frozen=True)
class Card:
    """A round to play: what it is called, of which sort it is, and what happens."""

    sort: str
    name: str
    kind: Kind
    points: tuple[str, ...] = ()


@dataclass
class Result:
    """What came of a round. In seconds from the fault's end on: ``ready`` until every process
    served, ``recovery`` until a command that was posted then was shown."""

    seed: int
    round: int
    store: str
    sort: str
    name: str
    points: list[str]
    commands: int = 0
    recovery: float | None = None
    ready: float | None = None
    seconds: float = 0.0
    restarts: int = 0
    violations: list[str] = field(default_factory=list)
    at: str = ""


def rounds(seed: int) -> list[tuple[str, Card]]:
    """A seed's rounds with their stores, in the order in which they are played: in blocks of one
    store, the first round is number 1."""
    blocks = [
        [(store, card) for card in cards[start : start + BLOCK]]
        for store in STORES
        for cards in [deal(seed, store)]
        for start in range(0, len(cards), BLOCK)
    ]
    # Of each store in turns.
    blocks.sort(key=lambda block: Random(f"{seed}/{block[0][1].name}").random())
    return [one for block in blocks for one in block]


def deal(seed: int, store: str) -> list[Card]:
    """What a seed plays on a store: every kind, pairs, and every point, on one of its stores."""
    chance = Random(f"{seed}/{store}")
    points = [point for point in all_points() if point.is_of(store)]
    kinds = {**EVERYWHERE, **(ON_SQLITE if store == "sqlite" else ON_POSTGRESQL)}
    cards = [
        *(_card(chance, point) for point in points if _store_of(seed, point) == store),
        *(_pair(chance, points) for _ in range(PAIRS)),
        *(Card(name, name, kind) for name, kind in kinds.items()),
    ]
    chance.shuffle(cards)
    return cards


def _store_of(seed: int, point: Point) -> str:
    stores = [store for store in STORES if point.is_of(store)]
    return Random(f"{seed}/{point.name}").choice(stores)


def _card(chance: Random, point: Point) -> Card:
    what = chance.choice(["SIGKILL", "SIGKILL", "SIGSTOP"])
    # Mostly the process itself: it is the one that is in the middle of something.
    which = chance.choice([0, 0, 0, 1, 2, 3, 4])
    sort = f"{'kill' if what == 'SIGKILL' else 'pause'} at a step of {point.phase}"
    whom = "itself" if which == 0 else f"other {which}"
    name = f"{what} of {whom} at {point.name}"
    return Card(sort, name, at_point(point, what, which), (point.name,))


def _pair(chance: Random, points: Sequence[Point]) -> Card:
    first = chance.choice(points)
    second = chance.choice([one for one in points if one.process != first.process])
    cards = [_card(chance, first), _card(chance, second)]
    name = " and ".join(card.name for card in cards)
    kind = together(*(card.kind for card in cards))
    return Card("a pair of faults", name, kind, (first.name, second.name))


async def play(rig: Rig, loads: list[Load], card: Card, result: Result) -> None:
    """Play a round and note in the result what came of it."""
    began, before = time.monotonic(), _answered(loads)
    restarts = rig.restarts.total()
    stage = Stage(rig, loads, Random(f"{result.seed}/{result.round}"))
    try:
        async with asyncio.timeout(ROUND_SECONDS):
            await _disturb(stage, card, result)
            result.violations += await violations(rig.settings, _commands(loads))
    except Exception as error:  # noqa: BLE001 - whatever went wrong, the round has failed
        result.violations.append(f"{type(error).__name__}: {error}")
    result.commands = _answered(loads) - before
    result.restarts = rig.restarts.total() - restarts
    result.seconds = round(time.monotonic() - began, 1)
    result.at = datetime.now(UTC).isoformat(timespec="seconds")


async def _disturb(stage: Stage, card: Card, result: Result) -> None:
    """Have the fault come amid commands, and return once all of the circle works again."""
    async with AsyncExitStack() as stack:
        for load in stage.loads:
            await stack.enter_async_context(load.going_on())
        await stage.some_answers()
        await card.kind(stage)
        over = time.monotonic()
        await stage.rig.until_ready()
        result.ready = round(time.monotonic() - over, 2)
        await stage.loads[0].probe()
        await until_shown(stage.rig.settings, stage.rig.heads(), RECOVERY_SECONDS)
        result.recovery = round(time.monotonic() - over, 2)


def _commands(loads: Iterable[Load]) -> list[Command]:
    return [command for load in loads for command in load.commands]


def _answered(loads: Iterable[Load]) -> int:
    return sum(len(load.commands) for load in loads)
