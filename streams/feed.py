"""What every agent does: batches in, rows and position written, then acknowledged."""

from typing import Any, cast

from faust.streams import Stream
from faust.types import StreamT

from projections.live import Live
from projections.topic import kafka_record

MOST = 1_000
"""Records in a batch."""

WITHIN = 0.005
"""Seconds that a batch is waited for; Faust always waits the whole of it."""

UNHURRIED = 0.1
"""The same where nobody waits for the next read: few large batches leave the others their time."""


async def feed(stream: StreamT[Any], projector: Live, *, within: float = WITHIN) -> None:
    """Give a stream's records to a read model, and acknowledge each after its commit.

    (Or after an unhurried one has left them to a later reading of the topic.) Never plain `take`:
    it acknowledges a batch also where its processing failed.
    """
    try:
        async for batch in cast("Stream[Any]", stream).noack_take(MOST, within=within):
            await projector.apply([kafka_record(event.message) for event in batch])
            for event in batch:
                await stream.ack(event)
    except Exception as error:
        # Faust would start the agent again behind the batch: the worker must end instead.
        await stream.app.crash(error)
        raise
