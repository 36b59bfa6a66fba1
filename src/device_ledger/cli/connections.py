"""HTTP connections that nobody can hold open by sending little, or fill by sending much.

The server alone bounds the time between two requests, not the time that a request takes to come in,
and no head's size.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX: Final = 65_536
"""Bytes that a request's line and headers may have."""
REQUEST_SECONDS: Final = 20.0
"""How long a request may take to come in, from the connection or its first byte to its last."""


class HeadTooLargeError(Exception):
    """A request's line and headers have too many bytes: the parser's caller answers 400."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request doesn't come in within ``REQUEST_SECONDS``, and answers
    400 to a head above ``HEAD_BYTES_MAX``."""

    _deadline: asyncio.TimerHandle | None = None
    _is_in_head = True
    _received = 0
    _latest = 0
    _parsed = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first request is due from now on."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and give up a head that is too large and still not whole."""
        self._latest = len(data)
        self._received += self._latest
        super().data_received(data)
        if self._is_in_head and self._received > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response("The request's head is too large")

    def on_message_begin(self) -> None:
        """A request begins; the first one is due since the connection was made."""
        super().on_message_begin()
        self._is_in_head, self._received, self._parsed = True, self._latest, 0
        if self._deadline is None:
            self._expect()

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._expect_nothing()
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > HEAD_BYTES_MAX:
            raise HeadTooLargeError

    def _expect(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._give_up)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        # Whoever waits for the body learns that the client has gone.
        self.transport.abort()
