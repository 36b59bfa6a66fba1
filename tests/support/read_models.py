"""Looking at read models as a whole."""

import asyncio
from collections.abc import Iterable
from typing import Any

from device_ledger.settings import Settings
from device_ledger.wire.topics import EVENTS
from projections.guard import KafkaRecord
from projections.model import Position
from projections.models import MODELS
from projections.readers import ReadModels, open_read_models

EVENT_MODELS = [model for model in MODELS if model.topic == EVENTS]
"""The read models that are made from events."""

Dump = dict[str, list[tuple[Any, ...]]]


async def dump(models: ReadModels) -> Dump:
    """Every row of the read models of events and every count, in order of their keys."""
    found: Dump = {}
    for model in EVENT_MODELS:
        columns = ", ".join(model.columns)
        statement = f"SELECT {columns} FROM {model.table} ORDER BY {model.key}"
        [found[model.name]] = (await models.read(model.name, (statement, {}))).value
    counts = "SELECT value, partition, total FROM counts WHERE total <> 0 ORDER BY value, partition"
    [found["counts"]] = (await models.read("links", (counts, {}))).value
    return found


async def dump_of(settings: Settings) -> Dump:
    """As `dump`, on connections of its own."""
    models = await open_read_models(settings)
    try:
        return await dump(models)
    finally:
        await models.close()


def end_of(records: Iterable[KafkaRecord]) -> Position:
    """The position after all these records."""
    import orjson

    position: Position = {}
    for record in records:
        last_id = int(orjson.loads(record.value or b"")["id"])
        position[record.partition] = max(last_id, position.get(record.partition, 0))
    return position


async def until_shown(settings: Settings, position: Position, within: float = 60) -> None:
    """Wait until every read model of events shows a position."""
    models = await open_read_models(settings)
    try:
        reached = await asyncio.gather(
            *(models.wait_for(model.name, position, within) for model in EVENT_MODELS)
        )
        assert reached == [True] * len(EVENT_MODELS)
    finally:
        await models.close()
