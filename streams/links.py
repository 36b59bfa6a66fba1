"""The agent that keeps `links`: each bank's list of links."""

from typing import Any

import faust
from faust.types import StreamT, TopicT

from projections.live import Live
from streams.feed import LISTS, feed


def add_links(app: faust.App, events: TopicT, projector: Live) -> None:
    """Add the agent to the app."""

    @app.agent(events, name="links")
    async def links(stream: StreamT[Any]) -> None:
        await feed(stream, projector, pace=LISTS)
