"""The agent that keeps `devices`: the devices of each user."""

from typing import Any

import faust
from faust.types import StreamT, TopicT

from projections.live import Live
from streams.feed import LISTS, feed


def add_devices(app: faust.App, events: TopicT, projector: Live) -> None:
    """Add the agent to the app."""

    @app.agent(events, name="devices")
    async def devices(stream: StreamT[Any]) -> None:
        await feed(stream, projector, pace=LISTS)
