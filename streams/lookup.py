"""The agent that keeps `lookup`: which customer a device is linked to."""

from typing import Any

import faust
from faust.types import StreamT, TopicT

from projections.live import Live
from streams.feed import feed


def add_lookup(app: faust.App, events: TopicT, projector: Live) -> None:
    """Add the agent to the app."""

    @app.agent(events, name="lookup")
    async def lookup(stream: StreamT[Any]) -> None:
        await feed(stream, projector)
