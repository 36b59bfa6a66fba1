"""The agent that keeps `alerts`: what the detector told."""

from typing import Any

import faust
from faust.types import StreamT, TopicT

from projections.live import Live
from streams.feed import feed


def add_alerts(app: faust.App, told: TopicT, projector: Live) -> None:
    """Add the agent to the app."""

    @app.agent(told, name="alerts")
    async def alerts(stream: StreamT[Any]) -> None:
        await feed(stream, projector)
