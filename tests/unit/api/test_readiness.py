"""Whether the process can serve: what counts, and when."""

import asyncio
import threading

import pytest

from api import readiness
from api.readiness import Check, NotUpError, Readiness, State, in_thread, kafka_answers, kafka_check
from device_ledger.broker import free_port
from device_ledger.settings import Settings


def part(name: str, up: set[str]) -> Check:
    """A part that is up while its name is in the set."""

    async def check() -> bool:
        return name in up

    return check


async def test_until_all_was_up_once_each_part_is_needed() -> None:
    up = {"store"}
    found = Readiness({"store": part("store", up)}, {"bus": part("bus", up)})
    assert await found.state() == State(["bus"], [], {"bus": "it isn't there"})
    up.add("bus")
    assert await found.state() == State([], [])
    up.clear()
    up.add("store")
    assert await found.state() == State([], ["bus"], {"bus": "it isn't there"})
    up.clear()
    assert await found.state() == State(
        ["store"], ["bus"], dict.fromkeys(("store", "bus"), "it isn't there")
    )


async def test_a_part_that_fails_or_hangs_is_not_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "CHECK_SECONDS", 0.01)

    async def fails() -> bool:
        raise OSError

    async def hangs() -> bool:
        await asyncio.Event().wait()
        return True

    async def tells() -> bool:
        raise NotUpError("it has to be full moon")

    found = Readiness({"fails": fails, "hangs": hangs, "tells": tells}, {})
    reasons = {
        "fails": "OSError",
        "hangs": "no answer within 0.01 s",
        "tells": "it has to be full moon",
    }
    assert await found.state() == State(["fails", "hangs", "tells"], [], reasons)


async def test_kafka_answers_where_one_of_its_brokers_does() -> None:
    async with await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0) as broker:
        port = broker.sockets[0].getsockname()[1]
        assert await kafka_answers(f"127.0.0.1:{free_port()},127.0.0.1:{port}") is True
    assert await kafka_answers(f"127.0.0.1:{port}") is False
    with pytest.raises(NotUpError, match="no broker takes connections"):
        await kafka_check(Settings(broker_port=port))()


async def test_a_look_that_hangs_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "CHECK_SECONDS", 0.01)
    looks, release = [], threading.Event()

    def look() -> None:
        looks.append(1)
        release.wait()

    check = in_thread(look)
    found = Readiness({"store": check}, {})
    try:
        for _ in range(3):
            assert (await found.state()).down == ["store"]
        assert len(looks) == 1
    finally:
        release.set()
    assert await check() is True
