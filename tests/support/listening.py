"""An app on a port of loopback, by the server and the settings that ours is served with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from device_ledger.cli.api import SERVER


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[int]:
    """Serve an app, whose lifespan somebody else runs, until the block ends; its port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", **SERVER))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.01)
    [port] = {one.getsockname()[1] for one in server.servers[0].sockets}
    yield port
    app.state.ending.set()
    server.should_exit = True
    await serving
