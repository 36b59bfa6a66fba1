"""The agent that keeps `audit`: events as lines of the trail."""

from typing import Any

import faust
from faust.types import StreamT, TopicT

from projections.live import Live
from streams.feed import UNHURRIED, feed


def add_audit(app: faust.App, events: TopicT, projector: Live) -> None:
    """Add the agent to the app."""

    @app.agent(events, name="audit")
    async def audit(stream: StreamT[Any]) -> None:
        await feed(stream, projector, pace=UNHURRIED)
