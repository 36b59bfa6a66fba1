"""Dead letters: records that a reader could not take, as they came, with why and where they lay.

A letter is such a record with four more headers. One that was taken after all is *settled* by a
record without a value that names the same place; it stays on the topic, as do both for ever.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

EVERY_READ_MODEL: Final = "*"
"""Stands for all that is made from the topic: the record can't be read by any of them."""

READ_MODEL: Final = "dead-letter-read-model"
REASON: Final = "dead-letter-reason"
COORDINATES: Final = "dead-letter-coordinates"
SETTLED: Final = "dead-letter-settled"
CUT: Final = "dead-letter-cut"
"""There where the record was too large to be sent again: its value lies at its coordinates only."""

REPLAYED: Final = "replayed"
"""Settled: the read model has it now."""
GONE: Final = "gone"
"""Settled: the topic has another record at that place, or none."""

Headers = Iterable[tuple[str, bytes]]


class Place(NamedTuple):
    """Where a record lay."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """What is told of a record: where it lay, who could not take it, and why."""

    place: Place
    read_model: str
    reason: str

    def headers(self, *, cut: bool = False) -> list[tuple[str, bytes]]:
        """The headers that are put behind the record's own."""
        told = {READ_MODEL: self.read_model, REASON: self.reason, COORDINATES: str(self.place)}
        return [(name, text.encode()) for name, text in (told | ({CUT: ""} if cut else {})).items()]


def settled(place: Place, read_model: str, how: str) -> list[tuple[str, bytes]]:
    """The headers of a record that settles a letter; ``how`` is REPLAYED or GONE."""
    told = {READ_MODEL: read_model, SETTLED: how, COORDINATES: str(place)}
    return [(name, text.encode()) for name, text in told.items()]


@dataclass(frozen=True, slots=True)
class Open:
    """A letter that is not settled, when it was sent (milliseconds since 1970, of the newest of
    repeats), the record's value, and the read models that have the record by now."""

    letter: Letter
    at: int
    value: bytes | None
    cut: bool
    replayed: set[str] = field(default_factory=set)

    def concerns(self, read_model: str) -> bool:
        """Whether this read model lacks the record."""
        named = self.letter.read_model
        return named == read_model or (
            named == EVERY_READ_MODEL and read_model not in self.replayed
        )


class Letters:
    """The letters that are open, by the records of the topic taken so far, in their order."""

    def __init__(self) -> None:
        self._open: dict[tuple[Place, str], Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Open]:
        return iter(sorted(self._open.values(), key=lambda one: one.letter.place))

    def take(self, headers: Headers, value: bytes | None, at: int) -> None:
        """Take the next record; one that is neither a letter nor settles any is passed over."""
        # The record's own headers come first, and may have the same names.
        told = {name: text.decode(errors="replace") for name, text in headers if text is not None}
        place = _place(told.get(COORDINATES, ""))
        read_model = told.get(READ_MODEL, "")
        if place is None or not read_model:
            return
        if SETTLED in told:
            self._settle(place, read_model)
        elif REASON in told:
            letter = Letter(place, read_model, told[REASON])
            self._open[place, read_model] = Open(letter, at, value, CUT in told)

    def _settle(self, place: Place, read_model: str) -> None:
        if self._open.pop((place, read_model), None) is None:
            every = self._open.get((place, EVERY_READ_MODEL))
            if every is not None:
                every.replayed.add(read_model)


def _place(coordinates: str) -> Place | None:
    topic, _, rest = coordinates.partition("/")
    partition, _, offset = rest.partition("/")
    if not (topic and partition.isascii() and partition.isdigit() and offset.isdigit()):
        return None
    return Place(topic, int(partition), int(offset))
