"""How the read models do: who keeps which partitions, where they stand, what is behind."""

from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupCoordinatorNotAvailableError

from device_ledger.settings import Settings
from device_ledger.wire.topics import DEAD_LETTERS
from projections.model import ReadModel
from projections.models import MODELS, TOPICS
from projections.store import GenerationGoneError, Store, open_store
from projections.topic import GROUP, KAFKA_ERRORS, Topic, TopicMissingError


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
class Status:
    """The records of each topic by partition, each worker's partitions by topic, the models."""

    records: dict[str, dict[int, int]]
    dead_letters: int
    workers: dict[str, dict[str, list[int]]]
    models: list[ModelStatus]

    @property
    def healthy(self) -> bool:
        """Whether each partition has a worker, and each read model is built."""
        kept = {
            (topic, partition)
            for held in self.workers.values()
            for topic, partitions in held.items()
            for partition in partitions
        }
        there = {(topic, p) for topic, partitions in self.records.items() for p in partitions}
        return kept == there and all(model.built for model in self.models)


async def look(settings: Settings) -> Status:
    """Ask Kafka and the read models.

    Raises:
        UnreachableError: one of them doesn't answer.
    """
    store = open_store(settings)
    try:
        bounds = {name: await _bounds(Topic(settings.brokers, name)) for name in TOPICS}
        async with Topic(settings.brokers, DEAD_LETTERS).reading() as reading:
            [(first, end)] = (await reading.bounds([0])).values()
        workers = await _workers(settings.brokers)
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
    return Status(records, end - first, workers, models)


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


async def _workers(bootstrap_servers: str) -> dict[str, dict[str, list[int]]]:
    """The partitions of each worker of the group by topic, by its name."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await admin.start()
        [response] = await admin.describe_consumer_groups([GROUP])
    except GroupCoordinatorNotAvailableError:
        # A cluster that never had a group.
        return {}
    finally:
        await admin.close()
    [group] = response.to_object()["groups"]
    return {_name(member): _partitions(member["member_assignment"]) for member in group["members"]}


def _name(member: dict[str, Any]) -> str:
    # The broker makes a static member's ID of its name and a UUID.
    return str(member.get("group_instance_id") or member["member_id"].rsplit("-", 5)[0])


def _partitions(assignment: bytes) -> dict[str, list[int]]:
    if not assignment:
        return {}
    held = sorted(ConsumerProtocolMemberAssignment.decode(assignment).partitions())
    return {
        topic: [at.partition for at in held if at.topic == topic]
        for topic in sorted({at.topic for at in held})
    }
