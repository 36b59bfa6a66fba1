"""The load generator, in a process of its own: HTTP/1.1 over kept connections, nothing else.

Requests are rendered before the clock starts, and answers are read no further than needed, so that
it takes less of the machine than what it measures.
"""

import asyncio
import itertools
import multiprocessing
import random
import re
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final, Self, TypeVar, cast

import orjson
import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_POSITION = re.compile(rb"\r\nledger-position: *([^\r]+)", re.IGNORECASE)
IDLE_SECONDS_MAX: Final = 2.0
_HEAD_END: Final = b"\r\n\r\n"

Result = TypeVar("Result")


class UnexpectedAnswerError(Exception):
    """A server answered something else than 200, or nothing."""


@dataclass(frozen=True)
class Outcome:
    """What a load came to: answers, the seconds they took, and each one's milliseconds."""

    answers: int
    seconds: float
    latencies_ms: list[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds


def request(
    method: str, path: str, token: str, body: object = None, headers: Sequence[str] = ()
) -> bytes:
    """A request as it goes over the wire; the body is sent as JSON."""
    content = b"" if body is None else orjson.dumps(body)
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}"]
    if content:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + content


class Generator:
    """The process that the load comes from."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._process = ProcessPoolExecutor(1, mp_context=spawn)

    def repeat(
        self, port: int, requests: Sequence[bytes], connections: int, seconds: float
    ) -> Outcome:
        """Send requests in random order, the next one on a connection after each answer."""
        return self._process.submit(_run, run_repeat, port, requests, connections, seconds).result()

    def send_all(self, port: int, requests: Sequence[bytes], connections: int) -> Outcome:
        """Send each request once, the next one on a connection after each answer."""
        return self._process.submit(_run, run_send_all, port, requests, connections).result()

    def follow(self, port: int, pairs: Sequence[tuple[bytes, bytes]], rate: float) -> Outcome:
        """Send commands at a rate and time how long after its answer a lookup shows each.

        A pair is a command and the lookup that must show it, to which
        ``Ledger-Min-Position`` is added; an empty lookup follows nothing.
        """
        return self._process.submit(_run, run_follow, port, pairs, rate).result()

    def at_rate(self, port: int, requests: Sequence[bytes], rate: float, seconds: float) -> Outcome:
        """Send requests in their order at random moments, so many a second whatever is answered.

        An answer's latency counts from the moment that its request was due.
        """
        return self._process.submit(_run, run_at_rate, port, requests, rate, seconds).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.shutdown()


class Connection(asyncio.Protocol):
    """One kept connection; ``ask`` sends a request and gives the head and body of its answer."""

    def __init__(self) -> None:
        self._received = b""
        self._size = 0
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        # Nothing is asked yet.
        self._answer.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport to write to."""
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer once head and body are there."""
        self._received += data
        if not self._size:
            head_end = self._received.find(_HEAD_END)
            if head_end < 0:
                return
            length = _LENGTH.search(self._received, 0, head_end)
            self._size = head_end + len(_HEAD_END) + (int(length[1]) if length else 0)
        if len(self._received) >= self._size and self._is_asking():
            answer, self._received, self._size = self._received, b"", 0
            self._answer.set_result(answer)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Whoever waits is told."""
        if self._is_asking():
            self._answer.set_exception(UnexpectedAnswerError("the connection was closed"))

    async def ask(self, content: bytes, *, patiently: bool = False) -> bytes:
        """Send one request and wait for its answer, which must be 200; ``patiently`` asks again
        after a 503, which a read gets that waited 2 s for its position.
        """
        while True:
            self._answer = asyncio.get_running_loop().create_future()
            self._transport.write(content)
            answer = await self._answer
            if answer[9:12] == b"200":
                return answer
            if not (patiently and answer[9:12] == b"503"):
                raise UnexpectedAnswerError(answer.decode(errors="replace")[:500])

    def _is_asking(self) -> bool:
        return not self._answer.done()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


async def _connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(
        Connection, "127.0.0.1", port
    )
    return connection


def _run(work: Callable[..., Coroutine[object, object, Result]], *values: object) -> Result:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work(*values))


async def _on_connections(
    port: int, connections: int, next_request: Callable[[], bytes | None]
) -> Outcome:
    latencies: list[float] = []

    async def drive(connection: Connection) -> None:
        while (content := next_request()) is not None:
            begun = time.perf_counter()
            await connection.ask(content)
            latencies.append((time.perf_counter() - begun) * 1000)

    opened = [await _connect(port) for _ in range(connections)]
    begun = time.perf_counter()
    await asyncio.gather(*(drive(connection) for connection in opened))
    seconds = time.perf_counter() - begun
    for connection in opened:
        connection.close()
    return Outcome(len(latencies), seconds, latencies)


async def run_repeat(
    port: int, requests: Sequence[bytes], connections: int, seconds: float
) -> Outcome:
    """See ``Generator.repeat``."""
    end = time.perf_counter() + seconds
    choose = random.Random(1).choice
    return await _on_connections(
        port, connections, lambda: choose(requests) if time.perf_counter() < end else None
    )


async def run_send_all(port: int, requests: Sequence[bytes], connections: int) -> Outcome:
    """See ``Generator.send_all``."""
    rest = iter(requests)
    return await _on_connections(port, connections, lambda: next(rest, None))


class _Pool:
    """Connections that nothing is asked on, and new ones where there is none."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[float, Connection]] = []

    async def ask(self, content: bytes, *, patiently: bool = False) -> bytes:
        # The one used last: a server closes connections that were idle for some seconds.
        since, connection = self._idle.pop() if self._idle else (0.0, None)
        if connection is None or time.perf_counter() - since > IDLE_SECONDS_MAX:
            connection = await _connect(self._port)
        answer = await connection.ask(content, patiently=patiently)
        self._idle.append((time.perf_counter(), connection))
        return answer

    def close(self) -> None:
        for _, connection in self._idle:
            connection.close()


async def run_follow(port: int, pairs: Sequence[tuple[bytes, bytes]], rate: float) -> Outcome:
    """See ``Generator.follow``."""
    pool = _Pool(port)
    latencies: list[float] = []

    async def one(command: bytes, lookup: bytes) -> None:
        position = _POSITION.search(await pool.ask(command))
        if not lookup:
            return
        begun = time.perf_counter()
        if position is None:
            raise UnexpectedAnswerError("a command's answer had no Ledger-Position")
        header = b"\r\nLedger-Min-Position: %b\r\n\r\n" % position[1]
        await pool.ask(lookup.replace(_HEAD_END, header, 1), patiently=True)
        latencies.append((time.perf_counter() - begun) * 1000)

    begun = time.perf_counter()
    tasks = []
    for number, (command, lookup) in enumerate(pairs):
        await asyncio.sleep(begun + number / rate - time.perf_counter())
        tasks.append(asyncio.create_task(one(command, lookup)))
    await asyncio.gather(*tasks)
    seconds = time.perf_counter() - begun
    pool.close()
    return Outcome(len(pairs), seconds, latencies)


async def run_at_rate(port: int, requests: Sequence[bytes], rate: float, seconds: float) -> Outcome:
    """See ``Generator.at_rate``; the moments are those of a Poisson process."""
    pool = _Pool(port)
    chance = random.Random(1)
    latencies: list[float] = []

    async def one(content: bytes, due: float) -> None:
        await pool.ask(content)
        latencies.append((time.perf_counter() - due) * 1000)

    begun = due = time.perf_counter()
    tasks = []
    for content in itertools.cycle(requests):
        due += chance.expovariate(rate)
        if due > begun + seconds:
            break
        await asyncio.sleep(due - time.perf_counter())
        tasks.append(asyncio.create_task(one(content, due)))
    await asyncio.gather(*tasks)
    took = time.perf_counter() - begun
    pool.close()
    return Outcome(len(latencies), took, latencies)
