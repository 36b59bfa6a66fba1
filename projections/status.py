"""How the read models do: who keeps which partitions, where they stand, what is behind."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from device_ledger.settings import Settings
from device_ledger.wire.dead_letters import Open
from projections.dead_letters import DeadLetters
from projections.group import Held, ask_group, taken
from projections.model import ReadModel
from projections.models import MODELS, TOPICS
from projections.store import GenerationGoneError, Store, open_store
from projections.topic import KAFKA_ERRORS, Topic, TopicMissingError

LETTERS_MAX: Final = 100


class UnreachableError(RuntimeError):
    """Kafka, its topic or the read models' database can't be reached; the message says which."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """Where a read model stands. ``behind`` counts records, ``position`` gives event ids."""

    name: str
    built: bool
    position: dict[int, int]
    behind: dict[int, int]


@dataclass(frozen=True, slots=True)
class LetterStatus:
    """A record that was not taken: where it lies, by which read model (``*``: by any), and why."""

    topic: str
    partition: int
    offset: int
    read_model: str
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class Status:
    """The records of each topic by partition, each worker's partitions by topic, the models.

    ``dead_letters`` counts those that are open; ``letters`` has the first hundred of them.
    """

    records: dict[str, dict[int, int]]
    dead_letters: int
    letters: list[LetterStatus]
    workers: Held
    models: list[ModelStatus]

    @property
    def healthy(self) -> bool:
        """Whether each partition has a worker, and each read model is built."""
        there = {(topic, p) for topic, partitions in self.records.items() for p in partitions}
        return taken(self.workers) == there and all(model.built for model in self.models)


async def look(settings: Settings) -> Status:
    """Ask Kafka and the read models.

    Raises:
        UnreachableError: one of them doesn't answer.
    """
    store = open_store(settings)
    try:
        bounds = {name: await _bounds(Topic(settings.brokers, name)) for name in TOPICS}
        letters = list(map(told, await DeadLetters(settings.brokers).read()))
        workers = (await ask_group(settings.brokers)).workers
    except TopicMissingError as error:
        raise UnreachableError(str(error)) from error
    except KAFKA_ERRORS as error:
        raise UnreachableError(f"Kafka doesn't answer at {settings.brokers}") from error
    try:
        models = [_model(store, model, bounds[model.topic]) for model in MODELS]
    except store.retriable as error:
        raise UnreachableError(f"the read models can't be read: {type(error).__name__}") from error
    records = {
        topic: {partition: end - begin for partition, (begin, end) in found.items()}
        for topic, found in bounds.items()
    }
    return Status(records, len(letters), letters[:LETTERS_MAX], workers, models)


def told(one: Open) -> LetterStatus:
    """What is shown of a letter; never what its record holds."""
    place = one.letter.place
    at = datetime.fromtimestamp(one.at / 1000, UTC).isoformat(timespec="seconds")
    return LetterStatus(*place, one.letter.read_model, one.letter.reason, at.replace("+00:00", "Z"))


async def _bounds(topic: Topic) -> dict[int, tuple[int, int]]:
    partitions = range(await topic.partitions())
    async with topic.reading() as reading:
        return await reading.bounds(partitions)


def _model(store: Store, model: ReadModel, bounds: dict[int, tuple[int, int]]) -> ModelStatus:
    name = store.live(model)
    if name is not None:
        generation = store.open(model, name, live=True)
        try:
            standings = generation.standings()
        except GenerationGoneError:
            standings = {}
        finally:
            generation.close()
        if standings:
            behind = {p: max(0, bounds[p][1] - at.next_offset) for p, at in standings.items()}
            position = {p: at.last_id for p, at in standings.items()}
            return ModelStatus(model.name, True, position, behind)
    return ModelStatus(model.name, False, {}, {})
