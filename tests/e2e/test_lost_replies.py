"""Whatever is lost between a command and its answer: one effect, and an answer that is true."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from device_ledger.vault.keys import load_keys
from tests.conftest import AnyStore
from tests.support.cutting_proxy import CuttingProxy, Fate
from tests.support.system import System

CALLERS = 8
KEY = "Idempotency-Key"


@dataclass(frozen=True)
class Asked:
    """A command, the status that it must get, and the types of the events that it must leave."""

    path: str
    device_id: str
    body: dict[str, Any]
    status: int
    leaves: tuple[str, ...]
    headers: dict[str, str] = field(default_factory=dict)


def commands(number: int, headers: dict[str, str], *, keyed: bool) -> Iterator[Asked]:
    """A customer's link, login and refused unlink, with a key each where they are keyed."""
    customer = {"customerId": f"customer-{number}"}
    for name, status, more, leaves in (
        ("link", 200, {"phrase": f"phrase {number}"}, ("device.registered", "device.linked")),
        ("login-seen", 200, {"deviceName": "Phone"}, ("device.registered", "device.login_seen")),
        ("unlink", 404, {"phrase": f"phrase {number}"}, ("command.refused",)),
    ):
        device_id = f"{name}-{number}"
        body = customer | {"deviceId": device_id} | more
        path = f"/v1/bank/customer/device/{name}"
        key = {KEY: device_id} if keyed else {}
        yield Asked(path, device_id, body, status, leaves, headers | key)


def effects(system: System) -> Counter[tuple[str, str]]:
    """How often the store has each type of event of each device."""
    return Counter((one["type"].removesuffix(".v1"), one["subject"]) for one in system.stored())


def due(system: System, asked: Sequence[Asked]) -> Counter[tuple[str, str]]:
    """What the store has where each command took effect once."""
    token = load_keys(system.settings).token
    return Counter((kind, token.device(one.device_id)) for one in asked for kind in one.leaves)


async def post(client: httpx.AsyncClient, asked: Asked) -> tuple[int, bytes]:
    answer = await client.post(asked.path, json=asked.body, headers=asked.headers)
    return answer.status_code, answer.content


FATES: list[list[Fate]] = [
    ["after"],
    ["before"],
    ["after", "after", "before", "after"],
    ["pass", "after", "pass", "before", "after"] * 5,
]


@pytest.mark.parametrize("fates", FATES, ids=["after", "before", "in a row", "again and again"])
async def test_a_connection_cut_at_a_commit_changes_no_answer_and_repeats_no_effect(
    kafka: str, postgres_database: str, tmp_path: Path, fates: list[Fate]
) -> None:
    with (
        CuttingProxy(postgres_database) as proxy,
        System(tmp_path, kafka, event_store_url=proxy.url) as system,
    ):
        system.start("api")
        headers = system.bank()
        asked = [one for it in range(64) for one in commands(it, headers, keyed=it % 2 == 0)]
        proxy.decide(fates)
        async with system.client() as client:
            answers = await in_turns(client, asked)
        assert proxy.fates_left == 0
        assert [status for status, _ in answers] == [one.status for one in asked]
        assert effects(system) == due(system, asked)


async def test_commands_given_up_while_the_event_store_is_away_are_answered_when_asked_again(
    kafka: str, postgres_database: str, tmp_path: Path
) -> None:
    with (
        CuttingProxy(postgres_database) as proxy,
        System(tmp_path, kafka, event_store_url=proxy.url) as system,
    ):
        system.start("api")
        headers = system.bank()
        asked = [one for it in range(40) for one in commands(it, headers, keyed=True)]
        async with system.client() as client:
            first = await in_turns(client, asked[:40])
            proxy.decide(["pass", "away"])
            first += await in_turns(client, asked[40:], callers=len(asked))
            assert proxy.is_away
            assert {503} < {status for status, _ in first} <= {200, 404, 503}
            proxy.come_back()
            again = await in_turns(client, asked)
        known = [number for number, (status, _) in enumerate(first) if status != 503]
        assert [again[number] for number in known] == [first[number] for number in known]
        assert [status for status, _ in again] == [one.status for one in asked]
        assert effects(system) == due(system, asked)


async def in_turns(
    client: httpx.AsyncClient, asked: Sequence[Asked], callers: int = CALLERS
) -> list[tuple[int, bytes]]:
    """Answers in order; so many callers post at once, each its commands one after the other."""
    answers: dict[int, tuple[int, bytes]] = {}
    numbers = iter(range(len(asked)))

    async def caller() -> None:
        for number in numbers:
            answers[number] = await post(client, asked[number])

    await asyncio.gather(*(caller() for _ in range(callers)))
    return [answers[number] for number in range(len(asked))]


async def test_an_api_killed_in_the_middle_repeats_and_forgets_nothing(
    kafka: str, any_store: AnyStore
) -> None:
    with System(any_store.home, kafka, event_store_url=any_store.url) as system:
        headers = system.bank()
        asked = [one for it in range(120) for one in commands(it, headers, keyed=True)]
        answers: list[set[tuple[int, bytes]]] = [set() for _ in asked]
        lost = 0
        for answered_before_kill in (50, 200):
            system.start("api")
            lost += await post_and_kill(system, asked, answers, answered_before_kill)
        assert lost > 0
        system.start("api")
        async with system.client() as client:
            for number, answer in enumerate(await in_turns(client, asked)):
                answers[number].add(answer)
        assert [len(each) for each in answers] == [1] * len(asked)
        assert [status for each in answers for status, _ in each] == [one.status for one in asked]
        assert effects(system) == due(system, asked)


async def post_and_kill(
    system: System, asked: Sequence[Asked], answers: list[set[tuple[int, bytes]]], many: int
) -> int:
    """Post all commands, kill the API after so many answers; how many got none."""
    enough, count = asyncio.Event(), 0
    numbers = iter(range(len(asked)))

    async def caller(client: httpx.AsyncClient) -> None:
        nonlocal count
        for number in numbers:
            answers[number].add(await post(client, asked[number]))
            count += 1
            if count >= many:
                enough.set()

    async with system.client() as client:
        callers = [asyncio.create_task(caller(client)) for _ in range(4 * CALLERS)]
        await enough.wait()
        await asyncio.to_thread(system.kill, "api")
        ended = await asyncio.gather(*callers, return_exceptions=True)
    lost = [one for one in ended if one is not None]
    assert all(isinstance(one, httpx.TransportError) for one in lost), lost
    return len(lost)
