"""Posting until answered: against a server that is slow, busy or drops connections."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from device_ledger.cli.errors import CliError
from device_ledger.cli.post import Answer, Door, Request, post_all

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def request(number: int, device: str = "phone") -> Request:
    """The standard bank's command."""
    body = {"deviceId": device, "number": number}
    return Request(number, "bank", "bank-01", "/link", body, device, f"run-{number}")


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Door]:
    """The door of a real HTTP server on loopback."""
    app = web.Application()
    app.router.add_post("/link", handler)
    async with TestServer(app) as server:
        yield Door(str(server.make_url("")).rstrip("/"), lambda kind, caller: f"{kind}/{caller}")


async def answers_of(door: Door, *requests: Request) -> dict[int, Answer]:
    """Each request's answer."""
    answers: dict[int, Answer] = {}
    await post_all(door, requests, lambda asked, answer: answers.update({asked.number: answer}))
    return answers


async def test_a_command_is_posted_with_its_callers_token_and_its_key() -> None:
    heard: list[tuple[str, str, object]] = []

    async def handler(asked: web.Request) -> web.Response:
        headers = asked.headers
        heard.append((headers["Authorization"], headers["Idempotency-Key"], await asked.json()))
        return web.json_response({"success": True})

    async with serving(handler) as door:
        answers = await answers_of(door, request(7))
    assert heard == [("Bearer bank/bank-01", "run-7", {"deviceId": "phone", "number": 7})]
    assert answers == {7: Answer(200, {"success": True}, tries=1)}


async def test_a_refusal_is_an_answer() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response({"success": False}, status=409)

    async with serving(handler) as door:
        assert await answers_of(door, request(1)) == {1: Answer(409, {"success": False}, tries=1)}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_who_says_not_now_is_asked_again_with_the_same_key(status: int) -> None:
    keys: list[str] = []

    async def handler(asked: web.Request) -> web.Response:
        keys.append(asked.headers["Idempotency-Key"])
        return web.json_response({}, status=status if len(keys) < 3 else 200)

    async with serving(handler) as door:
        assert await answers_of(door, request(1)) == {1: Answer(200, {}, tries=3)}
    assert keys == ["run-1"] * 3


async def test_a_connection_that_drops_before_the_answer_is_asked_again() -> None:
    tries = Counter[str]()

    async def handler(asked: web.Request) -> web.Response:
        tries[asked.headers["Idempotency-Key"]] += 1
        if tries[asked.headers["Idempotency-Key"]] == 1:
            assert asked.transport is not None
            asked.transport.abort()
        return web.json_response({})

    async with serving(handler) as door:
        answers = await answers_of(door, request(1, "phone"), request(2, "tablet"))
    assert {number: answer.status for number, answer in answers.items()} == {1: 200, 2: 200}
    assert tries == {"run-1": 2, "run-2": 2}


async def test_commands_of_one_device_never_overtake_each_other() -> None:
    heard: dict[str, list[int]] = defaultdict(list)
    under_way = Counter[str]()

    async def handler(asked: web.Request) -> web.Response:
        body = await asked.json()
        device, number = body["deviceId"], body["number"]
        under_way[device] += 1
        assert under_way[device] == 1
        await asyncio.sleep(0)
        under_way[device] -= 1
        refused = number % 7 == 0 and number not in heard[device]
        heard[device].append(number)
        return web.json_response({}, status=503 if refused else 200)

    requests = [request(number, f"device-{number % 5}") for number in range(1, 101)]
    async with serving(handler) as door:
        answers = await answers_of(replace(door, concurrency=8), *requests)
    assert {answer.status for answer in answers.values()} == {200}
    assert len(answers) == 100
    for numbers in heard.values():
        assert numbers == sorted(numbers)


async def test_no_more_is_under_way_than_was_allowed() -> None:
    under_way, most = 0, 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return web.json_response({})

    async with serving(handler) as door:
        requests = (request(number, f"device-{number}") for number in range(200))
        await answers_of(replace(door, concurrency=4), *requests)
    assert 1 < most <= 4


async def test_patience_that_ends_is_one_line() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response({}, status=503)

    async with serving(handler) as door:
        with pytest.raises(CliError, match=r"answers 503, and did so for 0 s; run the same again"):
            await answers_of(replace(door, patience_seconds=0), request(1))


async def test_nobody_there_is_one_line() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response({})

    async with serving(handler) as door:
        pass
    with pytest.raises(CliError, match="does not answer"):
        await answers_of(replace(door, patience_seconds=0), request(1))


async def test_a_missing_token_is_told_as_it_is() -> None:
    def nobody(_kind: str, caller: str) -> str:
        raise CliError(f"no token of {caller}")

    with pytest.raises(CliError, match=r"^no token of bank-01$"):
        await answers_of(Door("http://127.0.0.1:1", nobody), request(1))


async def test_a_url_that_is_not_of_http_is_told_at_once() -> None:
    with pytest.raises(CliError, match=r"^ftp://there is no http address$"):
        await answers_of(Door("ftp://there", lambda _kind, _caller: "token"), request(1))
