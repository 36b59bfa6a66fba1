"""Replaying dead letters: what can be taken by now takes effect where it belongs.

A record can't be applied by itself later on: rows that came after it were made without it, and in a
topic with a chain it has a place before them. So each read model that lacks a record, and whose
code can take it now, is built anew from its topic's start, beside the live one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from device_ledger.settings import Settings
from device_ledger.wire.dead_letters import (
    EVERY_READ_MODEL,
    GONE,
    REPLAYED,
    Letters,
    Open,
    Place,
)
from projections.catching_up import Report
from projections.dead_letters import DeadLetters
from projections.guard import KafkaRecord, Malformed
from projections.model import Appended, Folded, ReadModel
from projections.models import MODELS, TOPICS
from projections.projector import UNFIT
from projections.rebuild import RebuildError, rebuild
from projections.store import Store, open_store
from projections.topic import KAFKA_ERRORS, Topic, TopicMissingError

Reporting = Callable[[str], Report]
"""Gives what is told of a read model's progress, by its name."""


@dataclass
class Replayed:
    """What became of the letters: taken now, no longer on their topic, or still not taken, each
    by its place and read model."""

    taken: list[tuple[Place, str]] = field(default_factory=list)
    gone: list[tuple[Place, str]] = field(default_factory=list)
    left: list[tuple[Place, str]] = field(default_factory=list)
    rebuilt: list[str] = field(default_factory=list)


async def replay(settings: Settings, report: Reporting) -> Replayed:
    """Build each read model anew that lacks a record which can be taken by now.

    Ended in the middle, again goes on: a read model is replaced at once or not at all, and what is
    settled already isn't built again.

    Raises:
        EXPECTED of `projections.rebuild`: why it was not; the live read models go on.
    """
    store = open_store(settings)
    letters = DeadLetters(settings.brokers)
    topics = {name: Topic(settings.brokers, name) for name in TOPICS}
    try:
        return await replay_all(MODELS, store, topics, letters, report)
    except KAFKA_ERRORS as error:
        raise RebuildError(f"Kafka doesn't answer at {settings.brokers}") from error
    except store.retriable as error:
        raise RebuildError(f"the database can't be written: {type(error).__name__}") from error


async def replay_all(
    models: Iterable[ReadModel],
    store: Store,
    topics: Mapping[str, Topic],
    letters: DeadLetters,
    report: Reporting,
) -> Replayed:
    """As `replay`; what Kafka or a database raises comes as it is."""
    replaying = _Replaying(store, topics, letters, await letters.read())
    for model in models:
        await replaying.one(model, report(model.name))
    await replaying.close_those_of_all()
    return replaying.done


class _Replaying:
    def __init__(
        self, store: Store, topics: Mapping[str, Topic], letters: DeadLetters, found: Letters
    ) -> None:
        self._store = store
        self._topics = topics
        self._letters = letters
        self._found = found
        self.done = Replayed()

    async def one(self, model: ReadModel, report: Report) -> None:
        """Replay the letters that a read model has not taken."""
        due = [
            one
            for one in self._found
            if one.letter.place.topic == model.topic and one.concerns(model.name)
        ]
        if not due:
            return
        places = {one.letter.place for one in due}
        topic = self._topics[model.topic]
        records = await _records_at(topic, due)
        gone = places - records.keys()
        fit = {at for at, raw in records.items() if _is_fit(model, raw)}
        if any(_touches(model, records[at]) for at in fit):
            collecting = _Collecting(self._letters, places)
            await rebuild(model, self._store, topic, collecting, report=report, park_again=True)
            self.done.rebuilt.append(model.name)
            fit -= collecting.again
        await self._settle(model.name, gone, GONE, self.done.gone)
        await self._settle(model.name, fit, REPLAYED, self.done.taken)
        self.done.left += [(at, model.name) for at in sorted(places - gone - fit)]

    async def close_those_of_all(self) -> None:
        """Settle those that no read model lacks any more."""
        left = {place for place, _ in self.done.left}
        of_all = [
            one.letter.place
            for one in self._found
            if one.letter.read_model == EVERY_READ_MODEL and one.letter.place not in left
        ]
        gone = {place for place, _ in self.done.gone}
        for how, places in (
            (GONE, [place for place in of_all if place in gone]),
            (REPLAYED, [place for place in of_all if place not in gone]),
        ):
            await self._letters.settle([(place, EVERY_READ_MODEL) for place in places], how)

    async def _settle(
        self, name: str, places: set[Place], how: str, told: list[tuple[Place, str]]
    ) -> None:
        settled = [(place, name) for place in sorted(places)]
        if settled:
            await self._letters.settle(settled, how)
        told += settled


class _Collecting(DeadLetters):
    """Keeps in mind which of the known letters would be parked again; parks the others."""

    def __init__(self, letters: DeadLetters, known: set[Place]) -> None:
        super().__init__("")
        self._letters = letters
        self._known = known
        self.again: set[Place] = set()

    async def park(self, model: ReadModel, found: Sequence[Malformed]) -> None:
        """As of all dead letters, but for those that are known."""
        new = []
        for one in found:
            place = Place(model.topic, one.raw.partition, one.raw.offset)
            if place in self._known:
                self.again.add(place)
            else:
                new.append(one)
        if new:
            await self._letters.park(model, new)


async def _records_at(topic: Topic, letters: Sequence[Open]) -> dict[Place, KafkaRecord]:
    """The records that lie where the letters say; those that are others now are left out."""
    found: dict[Place, KafkaRecord] = {}
    try:
        partitions = range(await topic.partitions())
    except TopicMissingError:
        return found
    async with topic.reading() as reading:
        bounds = await reading.bounds(partitions)
        for one in letters:
            at = one.letter.place
            begin, end = bounds.get(at.partition, (0, 0))
            if not begin <= at.offset < end:
                continue
            async for batch in reading.batches({at.partition: at.offset}, {at.partition: end}):
                raw = batch[at.partition][0]
                if raw.offset == at.offset and (one.cut or raw.value == one.value):
                    found[at] = raw
                break
    return found


def _is_fit(model: ReadModel, raw: KafkaRecord) -> bool:
    """Whether a record may be taken now, as far as it can be told without the rows before it."""
    item = model.parse(raw)
    if isinstance(item, Malformed):
        return False
    rows: Sequence[object] = []
    try:
        if isinstance(model, Folded):
            if model.key_of(item.event) is not None:
                row = model.apply(None, item.event)
                rows = [] if row is None else [row]
        elif isinstance(model, Appended):
            rows = model.rows_of(raw, item.event)
    except UNFIT:
        return False
    return all(map(model.fits, rows))


def _touches(model: ReadModel, raw: KafkaRecord) -> bool:
    """Whether a record that is fit makes anything of a row."""
    item = model.parse(raw)
    assert not isinstance(item, Malformed)  # noqa: S101 - it is fit
    return not isinstance(model, Folded) or model.key_of(item.event) is not None
