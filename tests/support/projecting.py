"""A store of read models over a topic that is a list: what the tests of the projector work on."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from device_ledger.settings import Settings
from device_ledger.wire.topics import EVENTS
from projections.guard import KafkaRecord
from projections.live import LiveProjector
from projections.model import ReadModel
from projections.models import TOPICS
from projections.readers import ReadModels, open_read_models
from projections.rebuild import rebuild
from projections.store import open_store
from tests.samples import events
from tests.support.list_topic import ListDeadLetters, ListTopic
from tests.support.read_models import EVENT_MODELS, Dump, dump_of

PARTITIONS = 3
RECORDS = events.on_partitions(events.history(24), PARTITIONS)
HALF = len(RECORDS) // 2


class Projecting:
    """All read models on one store, and the topic that they are made from."""

    def __init__(self, url: str, home: Path, records: Iterable[KafkaRecord] = ()) -> None:
        self.settings = Settings(home=home, read_models_url=SecretStr(url))
        self.store = open_store(self.settings)
        self.topics = {name: ListTopic(1) for name in TOPICS}
        self.topics[EVENTS] = ListTopic(PARTITIONS, records)
        self.letters = ListDeadLetters()

    @property
    def topic(self) -> ListTopic:
        """The events topic."""
        return self.topics[EVENTS]

    def live(self, model: ReadModel) -> LiveProjector:
        """The live generation of a read model, as a worker keeps it."""
        return LiveProjector(model, self.store, self.topics[model.topic], self.letters)

    async def rebuild(self, model: ReadModel) -> None:
        """As ``device-ledger rebuild``."""
        await rebuild(model, self.store, self.topics[model.topic], self.letters)

    async def apply(self, *batches: Iterable[KafkaRecord]) -> None:
        """Give each read model of events these batches, one after the other."""
        for model in EVENT_MODELS:
            projector = self.live(model)
            for batch in batches:
                await projector.apply(list(batch))
            await projector.close()

    async def show(self, model: ReadModel, *records: KafkaRecord) -> None:
        """Put records on a read model's topic, and let them take effect in it."""
        self.topics[model.topic].add(records)
        projector = self.live(model)
        await projector.catch_up(self.topics[model.topic].held)
        await projector.close()

    @asynccontextmanager
    async def reading(self, records: Iterable[KafkaRecord]) -> AsyncIterator[ReadModels]:
        """Readers of read models that hold all these records."""
        self.topic.add(records)
        await self.apply([])
        opened = await open_read_models(self.settings)
        try:
            yield opened
        finally:
            await opened.close()

    async def dump(self) -> Dump:
        """All rows and counts."""
        return await dump_of(self.settings)

    async def rows(self, model: ReadModel) -> list[Any]:
        """The rows of a read model, by key."""
        models = await open_read_models(self.settings)
        try:
            columns = ", ".join(model.columns)
            statement = f"SELECT {columns} FROM {model.table} ORDER BY {model.key}"
            [rows] = (await models.read(model.name, (statement, {}))).value
            return [model.row(*row) for row in rows]
        finally:
            await models.close()
