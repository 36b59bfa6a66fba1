import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from bench.load import (
    Connection,
    UnexpectedAnswerError,
    request,
    run_at_rate,
    run_follow,
    run_send_all,
)

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nLedger-Position: p-1\r\n\r\n{}"
Start = Callable[[list[bytes], bytes], Awaitable[int]]


@pytest.fixture
async def serve() -> AsyncIterator[Start]:
    """Start a server that notes each request's head and answers in pieces; its port."""
    servers: list[asyncio.Server] = []

    async def start(heads: list[bytes], answer: bytes) -> int:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                try:
                    heads.append(await reader.readuntil(b"\r\n\r\n"))
                except asyncio.IncompleteReadError:
                    break
                for piece in (answer[:20], answer[20:-1], answer[-1:]):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        assert isinstance(port, int)
        return port

    yield start
    for server in servers:
        server.close()


async def test_each_request_is_sent_once_and_its_answer_timed(serve: Start) -> None:
    heads: list[bytes] = []
    port = await serve(heads, ANSWER)
    requests = [request("GET", f"/{number}", "t") for number in range(10)]
    outcome = await run_send_all(port, requests, 3)
    assert sorted(heads) == requests
    assert outcome.answers == len(outcome.latencies_ms) == 10


async def test_a_lookup_asks_for_the_position_of_its_commands_answer(serve: Start) -> None:
    heads: list[bytes] = []
    port = await serve(heads, ANSWER)
    command, lookup = request("GET", "/command", "t"), request("GET", "/lookup", "t")
    outcome = await run_follow(port, [(command, lookup), (command, b"")], 1000)
    followed = lookup.removesuffix(b"\r\n") + b"Ledger-Min-Position: p-1\r\n\r\n"
    assert sorted(heads) == sorted([command, followed, command])
    assert (outcome.answers, len(outcome.latencies_ms)) == (2, 1)


async def test_an_answer_other_than_200_ends_the_measurement(serve: Start) -> None:
    port = await serve([], b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
    with pytest.raises(UnexpectedAnswerError, match="503"):
        await run_send_all(port, [request("GET", "/", "t")], 1)


async def test_a_closed_connection_is_told_to_who_waits() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
        with pytest.raises(UnexpectedAnswerError, match="closed"):
            await connection.ask(request("GET", "/", "t"))


async def test_requests_at_a_rate_are_sent_and_their_answers_timed(serve: Start) -> None:
    heads: list[bytes] = []
    port = await serve(heads, ANSWER)
    outcome = await run_at_rate(port, [request("GET", "/", "t")], 1000, 0.1)
    assert outcome.answers == len(outcome.latencies_ms) == len(heads) > 0
