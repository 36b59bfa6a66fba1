"""Connections that are slow, half open or no HTTP at all cost the API nothing for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from device_ledger.cli import connections
from device_ledger.cli.connections import HEAD_BYTES_MAX
from tests.support.installation import Installation
from tests.support.listening import listening

LINK = "/v1/bank/customer/device/link"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: ledger.test\r\n\r\n"
PATIENCE = 30
"""Seconds until a test that waits for the end of a connection gives up."""


@pytest.fixture
async def port(api: Installation) -> AsyncIterator[int]:
    """The port that the installation is served at."""
    async with listening(api.app) as port:
        yield port


async def answered(port: int, *parts: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def post(body: bytes, *headers: bytes) -> bytes:
    """A command as it stands on the wire."""
    head = (b"POST " + LINK.encode() + b" HTTP/1.1", b"Host: ledger.test", *headers)
    return b"\r\n".join((*head, b"", body))


HALF = {
    "nothing": b"",
    "half a line": b"GET /heal",
    "half a head": WHOLE[:-2],
    "no body": post(b"", b"Content-Length: 10"),
    "half a body": post(b'{"a":', b"Content-Length: 10"),
    "half a chunk": post(b"a\r\n{", b"Transfer-Encoding: chunked"),
    "no last chunk": post(b"2\r\n{}\r\n", b"Transfer-Encoding: chunked"),
    "a body that was refused": post(b" ", b"Content-Length: 70000"),
}


async def test_requests_that_do_not_come_in_are_given_up(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.2)
    asked = [(name, before) for name in HALF for before in (b"", WHOLE)]
    told = await asyncio.gather(*(answered(port, before, HALF[name]) for name, before in asked))
    for (name, before), answer in zip(asked, told, strict=True):
        good = 1 if before else 0
        assert answer.count(b"HTTP/1.1 200") == good, name
        assert answer.count(b"HTTP/1.1") - answer.count(b"HTTP/1.1 4") == good, name


async def test_who_sends_a_byte_now_and_then_gains_no_time(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(WHOLE[:-2] + b"X-Slow: ")

    async def drip() -> None:
        while True:
            writer.write(b"a")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    dripping.cancel()
    writer.close()


def large() -> dict[str, tuple[bytes, ...]]:
    """Heads that are too large, whole or not, in one piece or in many."""
    header = b"X-Large: " + b"a" * HEAD_BYTES_MAX
    many = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(70))
    return {
        "a header without end": (WHOLE[:-2], header),
        "a header": (WHOLE[:-2], header + b"\r\n\r\n"),
        "headers": (WHOLE[:-2], many, b"\r\n"),
        "in pieces": (WHOLE[:-2], *(many[at : at + 500] for at in range(0, len(many), 500))),
        "a target": (b"GET /" + b"a" * HEAD_BYTES_MAX + b" HTTP/1.1\r\n\r\n",),
        "a target without end": (b"GET /" + b"a" * HEAD_BYTES_MAX,),
    }


async def test_a_head_that_is_too_large_is_refused(port: int) -> None:
    for name, parts in large().items():
        told = await answered(port, *parts)
        assert told.count(b"HTTP/1.1 400") == 1, name
        assert told.count(b"HTTP/1.1") == 1, name


async def test_the_largest_head_that_callers_need_comes_through(port: int) -> None:
    headers = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 700) for number in range(90))
    told = await answered(port, WHOLE[:-2] + headers + b"Connection: close\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 200")


MALFORMED = {
    "a length and chunks": post(
        b"0\r\n\r\n" + WHOLE, b"Content-Length: 5", b"Transfer-Encoding: chunked"
    ),
    "two lengths": post(b"{}", b"Content-Length: 2", b"Content-Length: 40"),
    "a length of no number": post(b"{}", b"Content-Length: two"),
    "a negative length": post(b"{}", b"Content-Length: -1"),
    "a length with a sign": post(b"{}", b"Content-Length: +2"),
    "a huge length": post(b"{}", b"Content-Length: " + b"9" * 30),
    "another coding": post(b"{}", b"Transfer-Encoding: gzip, identity"),
    "chunked, but not last": post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, gzip"),
    "chunks of no number": post(b"xx\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "a huge chunk": post(b"f" * 20 + b"\r\n{}", b"Transfer-Encoding: chunked"),
    "NUL in a header": WHOLE[:-2] + b"X-A: a\0b\r\n\r\n",
    "a folded header": WHOLE[:-2] + b"X-A: a\r\n b\r\n\r\n",
    "a space before the colon": WHOLE[:-2] + b"X-A : a\r\n\r\n",
    "a header without a name": WHOLE[:-2] + b": a\r\n\r\n",
    "line feeds alone": b"GET /healthz HTTP/1.1\nHost: ledger.test\n\n",
    "another version": b"GET /healthz HTTP/9.9\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)),
    "no method": b"FETCH /healthz HTTP/1.1\r\n\r\n",
    "a target beyond ASCII": b"GET /h\xffalthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target of a proxy": b"CONNECT ledger.test:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
}


async def test_what_is_no_http_is_refused_and_the_connection_closed(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 1.0)
    told = await asyncio.gather(*(answered(port, sent) for sent in MALFORMED.values()))
    for name, answer in zip(MALFORMED, told, strict=True):
        statuses = [line[9:12] for line in answer.split(b"\r\n") if line[:9] == b"HTTP/1.1 "]
        assert len(statuses) <= 1, name
        assert all(status.startswith(b"4") for status in statuses), (name, answer)
    after = await answered(port, WHOLE[:-2] + b"Connection: close\r\n\r\n")
    assert after.startswith(b"HTTP/1.1 200")
