"""A TCP proxy before PostgreSQL that cuts connections at their commits."""

import asyncio
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

Fate = Literal["pass", "before", "after", "away"]
"""Let a commit through; cut before the server gets it; cut once the server has committed; the
same, and serve nobody until told to.
"""

_COMMIT = b"COMMIT\0"
"""How a query's text ends that commits, and how the server tells that it has."""


class CuttingProxy:
    """Listens on a loopback port, in a thread of its own, for as long as the block runs."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._fates: list[Fate] = []
        self._is_away = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: asyncio.Server
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def decide(self, fates: Iterable[Fate]) -> None:
        """What becomes of the next commits, one after the other; later ones pass."""
        self._fates = list(fates)

    @property
    def fates_left(self) -> int:
        """Commits whose fate is decided and that have not come yet."""
        return len(self._fates)

    @property
    def is_away(self) -> bool:
        """Whether it serves nobody, as after ``"away"``."""
        return self._is_away

    def come_back(self) -> None:
        """Serve again."""
        self._is_away = False

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user = f"{self._target.netloc.rpartition('@')[0]}@" if self._target.username else ""
        self.url = self._target._replace(netloc=f"{user}127.0.0.1:{port}").geturl()

    async def _close(self) -> None:
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._connections.add(serving)
        theirs = await asyncio.open_connection(self._target.hostname, self._target.port)
        hides_reply = asyncio.Event()
        ways = [
            asyncio.create_task(self._to_server(reader, theirs[1], hides_reply)),
            asyncio.create_task(self._to_client(theirs[0], writer, hides_reply)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            theirs[1].close()
            writer.close()
            self._connections.discard(serving)

    async def _to_server(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hides_reply: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 16):
            fate = self._fates.pop(0) if self._fates and _COMMIT in data else "pass"
            if fate == "before" or self._is_away:
                return
            if fate in {"after", "away"}:
                self._is_away = fate == "away"
                hides_reply.set()
            writer.write(data)
            await writer.drain()

    async def _to_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hides_reply: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 16):
            if not hides_reply.is_set():
                writer.write(data)
                await writer.drain()
            elif _COMMIT in data:
                return
