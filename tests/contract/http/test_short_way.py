"""The short way to a route answers to the byte what the long one does."""

from collections.abc import Mapping

import httpx
import pytest

from api.app import ROOMS, _short_routes
from api.lane import _lane_of
from tests.support.installation import Installation

LINK = b'{"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}'
LOOKUP = b'{"deviceId": "device-1"}'
JSON = {"Content-Type": "application/json"}
ALSO_JSON = {"Content-Type": "application/json; charset=utf-8"}
"""The same media type, written so that the short way leaves it to the long one."""
OF_EACH_ANSWER = {"x-request-id", "ratelimit", "ledger-position"}

LOOKUP_PATH = "/v1/customer/device/lookup"
LIST_PATH = "/v1/bank/devices/list"
COMMAND = "/v1/bank/customer/device/"


@pytest.fixture(autouse=True)
def _no_second_between(api: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets Ledger-Age be compared too: no second begins between two answers."""
    monkeypatch.setattr(api.services.backlog, "_clock", lambda: 1_000.0)


def told(response: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """All of an answer that is the same when it is given again."""
    headers = {
        name: value for name, value in response.headers.items() if name not in OF_EACH_ANSWER
    }
    return response.status_code, headers, response.content


async def both(
    api: Installation, path: str, content: bytes, headers: Mapping[str, str]
) -> list[tuple[int, dict[str, str], bytes]]:
    """What is answered the short way, and then the long one."""
    return [
        told(await api.client.post(path, content=content, headers={**headers, **media_type}))
        for media_type in (JSON, ALSO_JSON)
    ]


def test_the_routes_that_are_called_most_have_a_short_way() -> None:
    paths = {route.path for route in _short_routes(ROOMS) if _lane_of(route) is not None}
    assert paths == {
        LOOKUP_PATH,
        f"{LOOKUP_PATH}/batch",
        f"{COMMAND}link",
        f"{COMMAND}unlink",
        f"{COMMAND}login-seen",
        f"{COMMAND}deactivate",
        "/settings/devices",
        LIST_PATH,
    }


@pytest.mark.parametrize(
    "content",
    [
        LOOKUP,
        b'{"deviceId": "nobody\'s"}',
        b'{"deviceId": "nobodys"}',
        b'{"deviceId": "device\\u002d1"}',
        b'{"deviceId": 1, "deviceId": "device-1"}',
        b'{"deviceId": "device-1", "deviceId": "device-1"}',
        b'{"deviceId": "device-1", "secret": "7"}',
        b'{"deviceId": "device-1"',
        b'{"deviceId": NaN}',
        b'{"deviceId": "\xff"}',
        b'["device-1"]',
        b"{}",
        b"",
        b" " * 65_536 + LOOKUP,
    ],
)
async def test_a_lookup_is_answered_alike(api: Installation, content: bytes) -> None:
    await api.command("link", {"customerId": "c", "phrase": "Blue heron", "deviceId": "device-1"})
    await api.project()
    short, long = await both(api, LOOKUP_PATH, content, api.merchant())
    assert short == long


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer nonsense"},
        {"Ledger-Min-Position": "nonsense"},
        {"Ledger-Min-Position": ""},
        {f"X-Filler-{number}": "x" for number in range(120)},
    ],
)
async def test_what_stands_in_headers_is_refused_alike(
    api: Installation, headers: dict[str, str]
) -> None:
    known = {} if not headers else api.merchant()
    short, long = await both(api, LOOKUP_PATH, LOOKUP, known | headers)
    assert short == long
    assert short[0] in {400, 401}


async def test_a_caller_without_the_scope_is_refused_alike(api: Installation) -> None:
    short, long = await both(api, LOOKUP_PATH, LOOKUP, api.bank())
    assert short == long
    assert short[0] == 403


@pytest.mark.parametrize("key", [None, "key-1", "k" * 256, ""])
async def test_a_command_and_its_repeat_are_answered_alike(
    api: Installation, key: str | None
) -> None:
    headers = api.bank() | ({} if key is None else {"Idempotency-Key": key})
    short, long = await both(api, f"{COMMAND}link", LINK, headers)
    assert short == long
    assert short[0] == (200 if key in {None, "key-1"} else 400)


async def test_a_key_that_comes_twice_is_answered_alike(api: Installation) -> None:
    twice = [*api.bank().items(), ("Idempotency-Key", "key-1"), ("Idempotency-Key", "key-2")]
    answers = [
        told(
            await api.client.post(
                f"{COMMAND}link", content=LINK, headers=[*twice, *media_type.items()]
            )
        )
        for media_type in (JSON, ALSO_JSON)
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "page=1&limit=2",
        "limit=2&limit=3",
        "limit=2&limit=2",
        "limit=0",
        "limit=%32",
        "limit=+2",
        "limit=2.0",
        "limit=",
        "limit",
        "limit=2&&sortOrder=asc;page=1",
        "sortBy=deviceId&sortOrder=asc",
        "sortBy=nothing",
        "customerId=customer-1",
        "customerId=",
        "search=CUSTOMER",
        "search=%00",
        "search=%ff%C3",
        "search=a%2Bb+c",
        "search=" + "x" * 257,
        "cursor=nonsense",
        "page=101&limit=100",
        "nothing=1",
    ],
)
async def test_a_banks_list_is_answered_alike(
    api: Installation, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    for number in range(3):
        device = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": f"d-{number}"}
        assert (await api.command("link", device)).status_code == 200
    await api.project()

    async def listed() -> tuple[int, dict[str, str], bytes]:
        return told(await api.client.get(f"{LIST_PATH}?{query}", headers=api.bank()))

    short = await listed()
    monkeypatch.setattr("api.lane._is_ordinary", lambda scope, lane: False)
    assert short == await listed()
