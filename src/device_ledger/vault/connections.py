"""The connections of a store: one a thread, closed together."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Connection = Any
"""A DB-API connection in autocommit, with ``execute`` (both drivers have it)."""


class Connections:
    """Each thread's own connection, opened when it first asks."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._local = threading.local()
        self._opened: list[Connection] = []
        self._in_use = 0
        self._changed = threading.Condition()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """While this thread uses its connection, nobody closes it."""
        with self._changed:
            self._in_use += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_use -= 1
                self._changed.notify_all()

    def get(self) -> Connection:
        """This thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
            with self._changed:
                self._opened.append(connection)
        return connection

    def drop(self) -> None:
        """Close this thread's connection; the next one will be new."""
        connection = self._local.connection
        self._local.connection = None
        with self._changed:
            self._opened.remove(connection)
        connection.close()

    def close(self) -> None:
        """Close the connections of all threads, after what they are being used for."""
        with self._changed:
            # SQLite's driver ends the process where one thread closes what another one uses.
            self._changed.wait_for(lambda: not self._in_use)
            self.abandon()
        self._local = threading.local()

    def abandon(self) -> None:
        """Close all connections at once, as the end of the process does."""
        while self._opened:
            self._opened.pop().close()
