"""Ordinary life with scenes in it: attacks, and what only looks like one; and their labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import merge
from typing import Any, Final, NamedTuple

from device_ledger.simulation.attacks import ATTACKS, Kind
from device_ledger.simulation.cast import Calls, Cast
from device_ledger.simulation.everyday import Everyday, Phase
from device_ledger.simulation.lookalikes import LOOKALIKES
from device_ledger.simulation.population import Population
from device_ledger.simulation.scribe import Check
from device_ledger.simulation.traffic import Call

_CUSTOMERS_OF_A_SCENE: Final = 300
_FIRST_HOUR, _LAST_HOUR = 2, 21
# Kinds that are alike are neighbours in their lists, and would blur each other if played at once.
_STEP: Final = 7


@dataclass(slots=True)
class Label:
    """What is known of a scene: ``attack`` or look-alike, the rule that it is for, who was in it.

    ``customers`` are ``bank/customer``; ``refs`` are the trail's references of its own calls, in
    order, where they are known.
    """

    kind: str
    rule: str
    attack: bool
    customers: list[str]
    merchants: list[str]
    first_at: str = ""
    last_at: str = ""
    refs: list[str] = field(default_factory=list)

    def saw(self, at: str, refs: Sequence[str] = ()) -> None:
        """One of its calls was recorded then, as these."""
        self.first_at = self.first_at or at
        self.last_at = at
        self.refs += refs

    def as_json(self) -> dict[str, Any]:
        """A line of a labels file."""
        return {
            "kind": self.kind,
            "rule": self.rule,
            "attack": self.attack,
            "customers": self.customers,
            "merchants": self.merchants,
            "firstAt": self.first_at,
            "lastAt": self.last_at,
            "refs": self.refs,
        }


class Told(NamedTuple):
    """A call of the story, and the scene that it is of."""

    call: Call | Check
    label: Label | None


class Story:
    """Ordinary life in ``phases``; in the last day, ``each`` scenes of every kind that fits.

    ``over_http`` leaves out what takes its real time: long histories, and journeys.
    """

    def __init__(
        self, population: Population, phases: Sequence[Phase], each: int, *, over_http: bool = False
    ) -> None:
        self._population = population
        self._phases = phases
        self._over_http = over_http
        self._start = phases[0].start
        self._last_day = phases[-1].start + timedelta(days=phases[-1].days - 1)
        self.labels: list[Label] = []
        self._scenes: list[tuple[datetime, int, Told]] = []
        kinds = [(kind, True) for kind in ATTACKS] + [(kind, False) for kind in LOOKALIKES]
        days = (self._last_day - self._start).days
        self.left_out = [
            kind for kind, _ in kinds if days < kind.days or (over_http and not kind.over_http)
        ]
        fitting = [(kind, attack) for kind, attack in kinds if kind not in self.left_out]
        for place, (kind, attack) in enumerate(fitting):
            turn = place * _STEP % len(fitting) / len(fitting)
            for number in range(each):
                self._plan(kind, number, (number + turn) / each, attack=attack)
        self._scenes.sort(key=lambda scene: scene[:2])

    def calls(self, lookup_share: float) -> Iterator[Told]:
        """All calls in order of time."""
        everyday = Everyday(self._population, self._phases, journeys=not self._over_http)
        ordinary = ((call.at, -1, Told(call, None)) for call in everyday.calls(lookup_share))
        for _, _, told in merge(ordinary, self._scenes, key=lambda timed: timed[:2]):
            yield told

    @property
    def scene_calls(self) -> int:
        """How many calls the scenes add."""
        return len(self._scenes)

    def _plan(self, kind: Kind, number: int, when: float, *, attack: bool) -> None:
        """Play a scene at ``when`` of the day's hours, from 0 to 1."""
        name = f"{kind.name}/{number}"
        first = self._population.customers + len(self.labels) * _CUSTOMERS_OF_A_SCENE
        cast = Cast(self._population, first, name)
        hours = _FIRST_HOUR + (_LAST_HOUR - _FIRST_HOUR) * when
        start = timedelta(hours=hours, seconds=cast.random.uniform(0, 60))
        script = kind.play(cast, self._last_day + start)
        label = Label(
            kind.name, kind.rule, attack, _customers(script.calls), _merchants(script.calls)
        )
        self.labels.append(label)
        for call, of in [
            *((one, None) for one in script.before),
            *((one, label) for one in script.calls),
        ]:
            self._scenes.append((call.at, len(self._scenes), Told(call, of)))


def _customers(calls: Calls) -> list[str]:
    named = {
        f"{one.caller}/{one.body['customerId']}": None
        for one in calls
        if isinstance(one, Call) and "customerId" in one.body
    }
    return list(named)


def _merchants(calls: Calls) -> list[str]:
    named = {
        one.caller: None for one in calls if isinstance(one, Call) and "customerId" not in one.body
    }
    return list(named)
