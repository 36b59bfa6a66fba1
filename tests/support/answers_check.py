"""Whether what callers were answered is what the event store holds, and what readers show."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from device_ledger.wire import events as wire
from device_ledger.wire.events import PublicEvent

EFFECT = {
    "link": wire.DEVICE_LINKED,
    "unlink": wire.DEVICE_UNLINKED,
    "login-seen": wire.DEVICE_LOGIN_SEEN,
    "deactivate": wire.DEVICE_DEACTIVATED,
}
BESIDE = {
    "link": {wire.DEVICE_REGISTERED},
    "unlink": set[str](),
    "login-seen": {wire.DEVICE_REGISTERED},
    "deactivate": {wire.DEVICE_UNLINKED},
}
"""What else a command may write, once each."""


@dataclass(frozen=True)
class Command:
    """A command that was answered. ``device`` is the device's token."""

    request_id: str
    verb: str
    customer_id: str
    device: str
    seen_at: str | None
    status: int


def answer_problems(commands: Sequence[Command], stored: Iterable[PublicEvent]) -> list[str]:
    """Where answers and event store differ: each command took effect once, or was done before."""
    by_request: dict[str, list[PublicEvent]] = defaultdict(list)
    history: dict[tuple[str, str], list[PublicEvent]] = defaultdict(list)
    for event in stored:
        by_request[event.data["requestId"]].append(event)
        if event.type != wire.COMMAND_REFUSED:
            history[event.data["customerId"], event.subject].append(event)
    found = [
        f"{request_id}: nobody was answered"
        for request_id in sorted(by_request.keys() - {one.request_id for one in commands})
    ]
    for command in commands:
        types = [event.type for event in by_request.get(command.request_id, ())]
        before = history[command.customer_id, command.device]
        found += [f"{command.request_id}: {what}" for what in _wrong(command, types, before)]
    return found


def _wrong(command: Command, types: list[str], history: list[PublicEvent]) -> list[str]:
    if command.status in (404, 409):
        return [] if types == [wire.COMMAND_REFUSED] else [f"refused, but wrote {types}"]
    if command.status != 200:
        return [f"answered {command.status}"]
    effect = EFFECT[command.verb]
    if not types:
        return [] if _was_done(command, effect, history) else ["done, but it is nowhere"]
    beside = [one for one in types if one != effect]
    allowed = set(beside) <= BESIDE[command.verb] and len(beside) == len(set(beside))
    return [] if allowed and types.count(effect) == 1 else [f"done, but wrote {types}"]


def _was_done(command: Command, effect: str, history: list[PublicEvent]) -> bool:
    if command.verb == "unlink":
        return False
    told = [event for event in history if event.type == effect]
    if command.verb == "login-seen":
        return any(event.data["seenAt"] >= (command.seen_at or "") for event in told)
    return bool(told)


Rows = dict[str, set[tuple[Any, ...]]]


def rows_due(stored: Iterable[PublicEvent]) -> Rows:
    """What the read models are to show, told from the events alone and simply."""
    links: dict[str, tuple[Any, ...]] = {}
    devices: dict[str, tuple[Any, ...]] = {}
    trail: set[tuple[Any, ...]] = set()
    for event in stored:
        trail.add((str(event.id), event.time, event.type, event.data["requestId"]))
        data, token = event.data, event.subject
        match event.type:
            case wire.DEVICE_LINKED:
                links[token] = (token, data["bankId"], data["customerId"], data["linkedAt"])
            case wire.DEVICE_UNLINKED:
                links.pop(token, None)
        if event.type == wire.COMMAND_REFUSED:
            continue
        registration = data["registrationId"]
        _, seen, ended = devices.get(registration, (registration, None, None))
        if event.type == wire.DEVICE_LOGIN_SEEN:
            seen = max(seen or "", data["seenAt"])
        if event.type == wire.DEVICE_REGISTERED:
            ended = None
        if event.type == wire.DEVICE_DEACTIVATED:
            ended = data["deactivatedAt"]
        devices[registration] = (registration, seen, ended)
        if event.type == wire.DEVICE_ERASED:
            del devices[registration]
    linked = {*links.values()}
    return {"lookup": linked, "links": linked, "devices": {*devices.values()}, "audit": trail}


def row_problems(due: Rows, shown: Mapping[str, Sequence[tuple[Any, ...]]]) -> list[str]:
    """Where the read models differ from what they are to show."""
    found = []
    for model, rows in due.items():
        there = shown[model]
        found += [f"{model}: {row} is missing" for row in sorted(rows - {*there}, key=str)]
        found += [f"{model}: {row} is nobody's" for row in sorted({*there} - rows, key=str)]
        if len(there) != len(set(there)):
            found.append(f"{model}: a row is there twice")
    return found
