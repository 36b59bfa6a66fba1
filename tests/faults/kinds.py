"""Faults of each kind, done to a whole system while commands go on.

A kind is a coroutine that returns once the fault is over; what ended is started again meanwhile.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from aiokafka import AIOKafkaProducer

from device_ledger.wire.codec import PREV_HEADER
from device_ledger.wire.topics import EVENTS
from tests.faults.load import Load
from tests.faults.points import Point
from tests.faults.rig import Fault, Rig, victims
from tests.support.events_topic import records_of

SESSION_SECONDS: Final = 8.0
"""After so long without a sign a worker's partitions are given to others (`streams.app`)."""
LONG: Final = SESSION_SECONDS + 2.0
FIRE_SECONDS: Final = 90.0
PROVOKE_SECONDS: Final = 10.0
HITS: Final = 3


class NotFiredError(Exception):
    """Nothing came by a fault point."""


@dataclass
class Stage:
    """Where a fault plays: the system, who posts commands, and the round's dice."""

    rig: Rig
    loads: list[Load]
    chance: Random

    @property
    def partitions(self) -> int:
        """Of the events topic."""
        return self.rig.settings.partitions

    async def some_answers(self, most: int = 15) -> None:
        """Return after some more commands."""
        await self.loads[0].answers(self.chance.randint(1, most))

    async def a_while(self, most: float = 2.0) -> None:
        """Let a fault last."""
        await asyncio.sleep(self.chance.uniform(most / 4, most))

    def fault(self, point: Point, what: str, victim: str) -> Fault:
        """A fault at that point, for the process itself or whoever else."""
        itself = victim == point.process
        pids = () if itself else self.rig.pids(victim)
        hit = 1 if point.at_restart else self.chance.randint(1, HITS)
        return Fault(point.name, hit, what, pids)

    async def strike(self, point: Point, what: str, victim: str) -> None:
        """Have a fault come at a point; one that stops a process is over when it goes on."""
        rig, name = self.rig, point.process
        due = len(rig.fired(name)) + 1
        fault = self.fault(point, what, victim)
        try:
            async with asyncio.timeout(FIRE_SECONDS):
                if point.at_restart:
                    await rig.restart(name, fault)
                else:
                    rig.order(name, fault)
                await self._provoked(fault, name, due)
        except TimeoutError:
            raise NotFiredError(point.name) from None
        if what == "SIGSTOP":
            await asyncio.sleep(self._pause(victim))
            rig.signal(victim, signal.SIGCONT)

    async def _provoked(self, fault: Fault, name: str, due: int) -> None:
        """Return once it came. Some steps of a worker are those of a batch that could not be
        written, or was behind: where none comes by, it is given one.
        """
        rig = self.rig
        ways: tuple[Callable[[], Awaitable[None]], ...]
        ways = (lambda: foreign_records(self), lambda: rig.restart(name, fault))
        for provoke in ways if name == "streams" else ():
            try:
                async with asyncio.timeout(PROVOKE_SECONDS):
                    await rig.until_fired(name, due)
            except TimeoutError:
                await provoke()
            else:
                return
        await rig.until_fired(name, due)

    def _pause(self, victim: str) -> float:
        long = victim in {"streams", "postgres"} and self.chance.random() < 0.1
        return LONG if long else self.chance.uniform(0.3, 2.0)


async def foreign_records(stage: Stage) -> None:
    """Records come to the topic that no version of ours wrote."""
    [some] = (await records_of(stage.rig.servers, EVENTS))[-1:]
    values = [None, b"", b"{}", b"\xff\x00", b"[" * 5_000, (some.value or b"")[:-20]]
    headers = [[], [(PREV_HEADER, b"0")], [(PREV_HEADER, b"no number")], [("other", b"1")]]
    async with AIOKafkaProducer(bootstrap_servers=stage.rig.servers, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(
                EVENTS,
                value,
                key=b"key" if value is None else stage.chance.choice([None, b"key"]),
                partition=stage.chance.randrange(stage.partitions),
                headers=stage.chance.choice(headers),
            )


Kind = Callable[[Stage], Awaitable[None]]


def at_point(point: Point, what: str, which: int) -> Kind:
    """A fault at a point: of the process itself (``which`` 0) or of another."""

    async def strike(stage: Stage) -> None:
        names = victims(point, stage.rig)
        await stage.strike(point, what, names[which % len(names)])

    return strike


def together(*kinds: Kind) -> Kind:
    """Several faults at once."""

    async def play(stage: Stage) -> None:
        await asyncio.gather(*(kind(stage) for kind in kinds))

    return play
