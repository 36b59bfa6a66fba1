"""Alerts are followed as server-sent events, over a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest

from api.security import alert_stream
from api.security.services import STREAMS_OF_CALLER_MAX
from device_ledger.wire import access
from tests.contract.http.conftest import ON_BOTH
from tests.support.access_log import spooled
from tests.support.installation import Installation
from tests.support.listening import listening
from tests.support.trail import Trail

STREAM = "/v1/security/alerts/stream"
Event = tuple[str, dict[str, Any], str]


@pytest.fixture
async def client(trail: Trail) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the installation over TCP: what is streamed arrives piece by piece."""
    async with (
        listening(trail.api.app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client,
    ):
        yield client


class Events:
    """What a stream tells, one event after the other."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> Event:
        """Name, data and id of the next event."""
        async with asyncio.timeout(10):
            fields: dict[str, str] = {}
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line == "" and fields:
                    return fields["event"], orjson.loads(fields["data"]), fields["id"]
                if name in {"event", "data", "id"}:
                    fields[name] = value
        raise EOFError

    async def rest(self) -> list[str]:
        """The lines until its end."""
        async with asyncio.timeout(10):
            return [line async for line in self._lines if line and not line.startswith(":")]


@asynccontextmanager
async def following(
    client: httpx.AsyncClient, headers: dict[str, str], **asked: Any
) -> AsyncIterator[Events]:
    async with client.stream("GET", STREAM, headers=headers, params=asked) as response:
        assert response.status_code == 200, await response.aread()
        events = Events(response)
        yield events


@ON_BOTH
async def test_an_alert_is_told_when_it_is_raised(trail: Trail, client: httpx.AsyncClient) -> None:
    await trail.alert("device-farm", "0", bankId="bank-1")
    async with following(client, trail.api.token("security")) as events:
        assert events.response.headers["Content-Type"].startswith("text/event-stream")
        assert (await events.next())[:2] == ("opened", {})
        alert = await trail.alert("device-farm", "1", bankId="bank-1")
        name, data, _ = await events.next()
        listed = await client.get(f"/v1/security/alerts/{alert}", headers=trail.api.token("lead"))
        assert (name, data | {"entries": []}) == ("alert", listed.json())


async def test_a_stream_goes_on_behind_the_last_event(
    trail: Trail, client: httpx.AsyncClient
) -> None:
    officer = trail.api.token("security")
    async with following(client, officer) as events:
        _, _, opened = await events.next()
        alerts = [await trail.alert("device-farm", str(number)) for number in range(3)]
        _, _, first = await events.next()
    for after, missed in ((opened, alerts), (first, alerts[1:])):
        async with following(client, officer | {"Last-Event-ID": after}) as events:
            await events.next()
            assert [(await events.next())[1]["id"] for _ in missed] == missed


async def test_a_stream_of_a_bank_tells_of_that_bank_alone(
    trail: Trail, client: httpx.AsyncClient
) -> None:
    officer = trail.api.token("security", bank_id="bank-1")
    async with following(client, officer) as events:
        _, _, opened = await events.next()
        for number in range(3):
            await trail.alert("device-farm", f"2{number}", bankId="bank-2")
            await trail.alert("device-farm", f"3{number}")
        own = await trail.alert("device-farm", "1", bankId="bank-1")
        assert (await events.next())[1]["id"] == own
    for stranger in (trail.api.token("security"), trail.api.token("security", bank_id="bank-2")):
        refused = await client.get(STREAM, headers=stranger | {"Last-Event-ID": opened})
        assert (refused.status_code, refused.json()["field"]) == (400, "Last-Event-ID")
    refused = await client.get(STREAM, headers=officer, params={"bankId": "bank-2"})
    assert (refused.status_code, refused.json()["code"]) == (403, "other-bank")


async def test_a_stream_can_be_of_a_rule_or_level(trail: Trail, client: httpx.AsyncClient) -> None:
    async with following(client, trail.api.token("security"), rule="mass-unlink") as events:
        await events.next()
        await trail.alert("device-farm", "1")
        wanted = await trail.alert("mass-unlink", "2")
        assert (await events.next())[1]["id"] == wanted


async def test_a_quiet_stream_shows_that_it_is_there(
    trail: Trail, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_stream, "HEARTBEAT_SECONDS", 0.01)
    heard: list[str] = []
    async with client.stream("GET", STREAM, headers=trail.api.token("security")) as response:
        async for line in response.aiter_lines():
            heard += [line] if line.startswith(":") else []
            if len(heard) == 2:
                break
    assert heard == [": still here"] * 2


async def test_a_stream_ends_with_its_token(trail: Trail, client: httpx.AsyncClient) -> None:
    officer = trail.api.token("security", expires_seconds=3)
    async with following(client, officer) as events:
        await events.next()
        assert await events.rest() == []


async def test_a_stream_ends_when_the_server_is_told_to(
    trail: Trail, client: httpx.AsyncClient
) -> None:
    async with following(client, trail.api.token("security")) as events:
        await events.next()
        trail.api.app.state.ending.set()
        assert await events.rest() == []


async def test_a_caller_may_hold_so_many_streams_open(
    trail: Trail, client: httpx.AsyncClient
) -> None:
    officer = trail.api.token("security")
    streams = [following(client, officer) for _ in range(STREAMS_OF_CALLER_MAX)]
    for one in streams:
        await (await one.__aenter__()).next()
    refused = await client.get(STREAM, headers=officer)
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")
    other = trail.api.token("security", bank_id="bank-1")
    async with following(client, other) as events:
        await events.next()
    for one in streams:
        await one.__aexit__(None, None, None)
    while trail.api.services.security.streams.open_now:  # noqa: ASYNC110 - nobody is told
        await asyncio.sleep(0.01)
    async with following(client, officer) as events:
        await events.next()


async def test_what_a_stream_tells_is_on_record_before(
    trail: Trail, client: httpx.AsyncClient
) -> None:
    async with following(client, trail.api.token("security", bank_id="bank-1")) as events:
        await events.next()
        await trail.alert("device-farm", "2", bankId="bank-2")
        await trail.alert("device-farm", "1", bankId="bank-1")
        await events.next()
    assert [
        (one.type, one.data["outcome"], one.data["bankId"], one.data.get("count"))
        for one in spooled(trail.api.settings.home)
    ] == [
        (access.ALERTS_READ, "done", "bank-1", None),
        (access.ALERTS_READ, "found", "bank-1", 1),
    ]


async def test_the_stream_is_no_alert(api: Installation) -> None:
    response = await api.client.get(STREAM, headers=api.bank())
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
