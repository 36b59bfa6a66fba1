"""Turns of ours and of references, one after the other, round by round, under the same load."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.report import Rounds, Row, Step
from bench.wrk import Load

ROUNDS: Final = 5


@dataclass
class Side:
    """Who is asked what; ``rates`` (requests/s) and ``cpus`` (µs a request) a round.

    ``cpu`` is the CPU time (s) that its processes have used so far; ``rested`` waits until they
    have nothing left to do. ``goal`` is for ours against this one.
    """

    name: str
    port: int
    load: Load
    cpu: Callable[[], float]
    goal: float | None = None
    rested: Callable[[], None] = lambda: None
    rates: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    sent: int = 0


@dataclass(frozen=True)
class Question:
    """What all are asked, on so many connections, for so many seconds a turn."""

    name: str
    connections: int
    seconds: int


def measure_in_turns(
    question: Question, ours: Side, others: Sequence[Side], step: Step
) -> list[Row]:
    """A round for warming up, which isn't told, then the rounds; a row for each reference."""
    sides = [ours, *others]
    for number in range(1 + ROUNDS):
        for side in sides:
            before = side.cpu()
            sent = side.load.send(side.port, question.connections, question.seconds)
            side.sent += sent.sent
            if number:
                side.rates.append(sent.rate)
                side.cpus.append((side.cpu() - before) / sent.answers * 1e6)
            side.rested()
            step()
        sides.reverse()
    return [row for other in others for row in _rows(question, ours, other)]


def _rows(question: Question, ours: Side, other: Side) -> list[Row]:
    name = f"{question.name}, against {other.name}"
    rates, cpus = Rounds(ours.rates, other.rates), Rounds(ours.cpus, other.cpus)
    return [
        Row(name, "requests/s", "higher", other.goal, rates),
        Row(f"{name}: CPU each", "µs", "lower", None, cpus),
    ]
