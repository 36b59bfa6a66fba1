"""Posting many requests to the ledger's HTTP door until each is answered.

The order of a lane is kept: a request is sent once the one before it in its lane was answered.
Every command carries its Idempotency-Key, so that sending one again is safe, whatever became of
the first try.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal
from zlib import crc32

import aiohttp
import orjson

from device_ledger.cli.errors import USAGE, CliError

RETRIED: Final = frozenset((429, 502, 503, 504))
"""Statuses that say: not now."""
_TIMEOUT_SECONDS = 30.0
_PAUSE_SECONDS_MAX = 5.0
_WAITING_PER_LANE_MAX = 8


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a bank or merchant. ``lane`` names what must stay in order: the device ID."""

    number: int
    kind: Literal["bank", "merchant"]
    caller: str
    path: str
    body: dict[str, Any]
    lane: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its status, its body (parsed where it is JSON) and how often it was asked."""

    status: int
    body: Any
    tries: int


@dataclass(frozen=True, slots=True)
class Door:
    """Where to post, as whom, how much at once, and for how long to try one request again.

    ``bearer`` gives the token of a kind of caller and its ID; ``rate`` is in requests a second.
    """

    url: str
    bearer: Callable[[str, str], str]
    concurrency: int = 32
    rate: float | None = None
    patience_seconds: float = 120.0


async def post_all(
    door: Door, requests: Iterable[Request], answered: Callable[[Request, Answer], None]
) -> None:
    """Post all requests; ``answered`` is called once for each, as the answers come.

    Raises:
        CliError: the door's URL is none of HTTP, or a request found nobody who answers it for as
            long as the door's patience lasts.
    """
    lanes: list[asyncio.Queue[Request | None]] = [
        asyncio.Queue(_WAITING_PER_LANE_MAX) for _ in range(door.concurrency)
    ]
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=door.concurrency),
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS),
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            for lane in lanes:
                group.create_task(_work(door, session, lane, answered))
            await _feed(lanes, requests, door.rate)
    except ExceptionGroup as group_error:
        # Not except*: Python before 3.11.4 wraps what is raised there in a group again.
        failures = group_error.subgroup(CliError)
        if failures is None:
            raise
        raise _first(failures) from None


async def _feed(
    lanes: list[asyncio.Queue[Request | None]], requests: Iterable[Request], rate: float | None
) -> None:
    clock = asyncio.get_running_loop().time
    start = clock()
    for count, request in enumerate(requests):
        if rate is not None and (ahead := start + count / rate - clock()) > 0:
            await asyncio.sleep(ahead)
        await lanes[crc32(request.lane.encode()) % len(lanes)].put(request)
    for lane in lanes:
        await lane.put(None)


async def _work(
    door: Door,
    session: aiohttp.ClientSession,
    lane: asyncio.Queue[Request | None],
    answered: Callable[[Request, Answer], None],
) -> None:
    while (request := await lane.get()) is not None:
        answered(request, await _until_answered(door, session, request))


async def _until_answered(door: Door, session: aiohttp.ClientSession, request: Request) -> Answer:
    clock = asyncio.get_running_loop().time
    give_up_at = clock() + door.patience_seconds
    tries = 0
    while True:
        tries += 1
        pause = min(_PAUSE_SECONDS_MAX, 0.05 * 2**tries) * random.uniform(0.5, 1.0)  # noqa: S311
        try:
            status, retry_after, body = await _post(door, session, request)
            if status not in RETRIED:
                return Answer(status, body, tries)
            problem = f"answers {status}"
            pause = max(pause, min(retry_after, _TIMEOUT_SECONDS))
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise CliError(f"{door.url} is no http address", USAGE) from error
        except (aiohttp.ClientError, OSError) as error:
            problem = f"does not answer ({type(error).__name__})"
        if clock() + pause > give_up_at:
            raise CliError(
                f"{door.url} {problem}, and did so for {door.patience_seconds:.0f} s; "
                "run the same again to go on"
            )
        await asyncio.sleep(pause)


async def _post(
    door: Door, session: aiohttp.ClientSession, request: Request
) -> tuple[int, float, Any]:
    headers = {
        "Authorization": f"Bearer {door.bearer(request.kind, request.caller)}",
        "Content-Type": "application/json",
        "Idempotency-Key": request.idempotency_key,
        # The trail then names the request by the same word, however often it was sent.
        "X-Request-ID": request.idempotency_key,
    }
    url, data = f"{door.url}{request.path}", orjson.dumps(request.body)
    async with session.post(url, data=data, headers=headers, allow_redirects=False) as response:
        content = await response.read()
        retry_after = response.headers.get("Retry-After", "")
        return (
            response.status,
            float(retry_after) if retry_after.isdecimal() else 0.0,
            _parsed(content),
        )


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode(errors="replace")


def _first(group: BaseExceptionGroup[CliError]) -> CliError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
