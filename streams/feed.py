"""What every agent does: batches in, rows and position written, then acknowledged."""

import asyncio
import time
from typing import Any, cast

from faust.streams import Stream
from faust.types import EventT, StreamT

from projections.live import Live
from projections.topic import kafka_record

MOST = 1_000
"""Records in a batch, and as many may wait for the next one."""

UNHURRIED = 0.25
"""Seconds from one batch to the next where nobody waits for what is shown: few large ones leave the
others their time."""

LISTS = 0.05
"""The same for lists: a merchant at the counter goes first."""


async def feed(stream: StreamT[Any], projector: Live, *, pace: float = 0.0) -> None:
    """Give a stream's records to a read model, and acknowledge each after its commit.

    (Or after an unhurried one has left them to a later reading of the topic.) While a batch is
    written the next one gathers; it begins ``pace`` seconds after that one at the earliest, so that
    a record alone is written at once. Faust's own batches won't do:
    `take` acknowledges also what failed, and both it and `noack_take` look for records at an
    interval, which costs an idle worker a sixth of a core at 5 ms.
    """
    records = cast("Stream[Any]", stream)
    records.enable_acks = False
    waiting: asyncio.Queue[EventT[Any]] = asyncio.Queue(MOST)
    applying = asyncio.create_task(_apply(waiting, records, projector, pace))
    try:
        async for event in records.events():
            await waiting.put(event)
    finally:
        applying.cancel()
        await asyncio.wait({applying})


async def _apply(
    waiting: asyncio.Queue[EventT[Any]], stream: Stream[Any], projector: Live, pace: float
) -> None:
    begun = 0.0
    try:
        while True:
            batch = [await waiting.get()]
            await asyncio.sleep(begun + pace - time.monotonic())
            begun = time.monotonic()
            while len(batch) < MOST and not waiting.empty():
                batch.append(waiting.get_nowait())
            await projector.apply([kafka_record(event.message) for event in batch])
            for event in batch:
                await stream.ack(event)
    except Exception as error:  # noqa: BLE001 - whatever it is, the worker ends with it
        # Faust would start the agent again behind the batch: the worker must end instead.
        await stream.app.crash(error)
