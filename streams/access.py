"""The agent that keeps `access`: access records as lines of the trail."""

from typing import Any

import faust
from faust.types import StreamT, TopicT

from projections.live import Live
from streams.feed import UNHURRIED, feed


def add_access(app: faust.App, records: TopicT, projector: Live) -> None:
    """Add the agent to the app."""

    @app.agent(records, name="access")
    async def access(stream: StreamT[Any]) -> None:
        await feed(stream, projector, pace=UNHURRIED)
