"""The logs' checkpoints, and proofs of what is in them.

Checkpoints and consistency say nothing of anyone and are for every officer; an officer of one bank
gets proofs of that bank's records only. ``device_ledger.proofs`` checks all of it without us.
"""

import asyncio
import base64
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.access import note
from api.callers import UUID_PATTERN
from api.errors import Refusal
from api.route import GuardedRoute
from api.security.callers import Security, SecurityCaller
from api.security.problems import problems
from api.services import Services, services_of
from device_ledger.proofs import (
    consistency_path,
    inclusion_path,
    parse_checkpoint,
    root_at,
    unverified_text,
)
from device_ledger.trees.names import position_of
from device_ledger.trees.store import Stored
from device_ledger.wire import access
from device_ledger.wire.codec import public_bytes
from device_ledger.wire.events import EVENT_TYPES
from device_ledger.wire.trail import EVENTS_LOG

router = APIRouter(prefix="/v1/security/log", tags=["security"], route_class=GuardedRoute)

LogName = Annotated[
    Literal["events", "access"],
    Field(description="`events`: what was decided; `access`: who looked at what."),
]
Size = Annotated[int, Field(ge=1, le=1 << 62, examples=[12000])]
HOW_TO_CHECK: Final = (
    "checkpoint is a C2SP signed note: verify it with the verifier key of /v1/security/log/key, got"
    " and kept beforehand. leafHash is SHA-256 of a zero byte and the record's exact bytes. Then"
    " verify_inclusion of RFC 9162, 2.1.3.2: device_ledger.proofs has it"
)


class AskedLog(BaseModel):
    """Which log."""

    model_config = ConfigDict(extra="forbid")

    log: LogName = "events"


class AskedInclusion(AskedLog):
    """Which record of a log, and in a tree of how many leaves."""

    ref: Annotated[
        str,
        StringConstraints(pattern=f"^[0-9]{{1,18}}$|{UUID_PATTERN}", to_lower=True),
        Field(description="An event's id, or an access record's.", examples=["4711"]),
    ]
    size: Size | None = Field(None, description="Leaves of the tree; the newest checkpoint's.")

    @model_validator(mode="after")
    def _is_of_the_log(self) -> "AskedInclusion":
        if self.ref.isdigit() != (self.log == EVENTS_LOG):
            raise ValueError("ref must be an event's id, or with log=access an access record's")
        return self


class AskedConsistency(AskedLog):
    """Which two trees of a log, by their leaves."""

    start: Annotated[int, Field(alias="from", ge=0, le=1 << 62, examples=[11000])]
    end: Size | None = Field(None, alias="to", description="The newest checkpoint's by default.")


class LogKey(BaseModel):
    """Whose signature checkpoints of a log bear, as a C2SP verifier key, and the checkpoints that
    handed the log over from older keys."""

    log: str = Field(examples=["events"])
    verifierKey: str = Field(  # noqa: N815 - JSON's own name
        examples=["example.org/events+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"]
    )
    handOvers: list[str] = Field(  # noqa: N815
        description="Signed notes, each by both keys, the oldest first: who kept an older key"
        " follows them."
    )


class LogCheckpoint(BaseModel):
    """A signed checkpoint: ``size`` leaves have the root ``root`` (base64), and the last of them is
    the event of the id ``position`` (or the access topic's record before that offset)."""

    log: str = Field(examples=["events"])
    origin: str
    size: int = Field(examples=[12000])
    root: str
    position: int = Field(examples=[48213])
    checkpoint: str = Field(description="The signed note.")


class Inclusion(BaseModel):
    """That a record is a log's leaf. Hashes are base64; ``checkpoint`` is the signed note of the
    tree's size, null where none was signed at that size; ``leaf`` an event's exact bytes."""

    log: str = Field(examples=["events"])
    ref: str = Field(examples=["4711"])
    index: int = Field(examples=[1822])
    leafHash: str  # noqa: N815
    leaf: str | None
    size: int = Field(examples=[12000])
    root: str
    path: list[str]
    checkpoint: str | None
    howToCheck: str  # noqa: N815


class Consistency(BaseModel):
    """That a tree is the beginning of a later one. Hashes are base64."""

    model_config = ConfigDict(populate_by_name=True)

    log: str = Field(examples=["events"])
    start: int = Field(alias="from", examples=[11000])
    end: int = Field(alias="to", examples=[12000])
    fromRoot: str  # noqa: N815
    toRoot: str  # noqa: N815
    path: list[str]


def no_checkpoint() -> Refusal:
    """404: nothing of the log is signed yet."""
    return Refusal(404, "no-checkpoint", "There is no checkpoint of this log yet")


def not_in_log() -> Refusal:
    """404: no checkpoint covers such a record, or the officer may not see it."""
    return Refusal(404, "not-in-log", "No checkpoint of this log covers such a record yet")


_NO_CHECKPOINT: Final = ("Nothing of the log is signed yet.", no_checkpoint())
_NOT_IN_LOG: Final = (
    "No checkpoint covers such a record yet, or the officer may not see it.",
    not_in_log(),
)


@router.get(
    "/key",
    summary="The key that verifies a log's checkpoints",
    response_model=LogKey,
    responses=problems(_NO_CHECKPOINT),
)
async def read_key(
    request: Request, officer: SecurityCaller, asked: Annotated[AskedLog, Query()]
) -> Response:
    """Get it once, by a way that you trust, and keep it: it is what proofs rest on."""
    trees = services_of(request).security.trees
    verifier = await asyncio.to_thread(trees.verifier, asked.log)
    if not verifier:
        raise no_checkpoint()
    await note(request, officer, access.LOG_READ, "done", bankId=officer.bank_id)
    hand_overs = await asyncio.to_thread(trees.hand_overs, asked.log)
    return _json({"log": asked.log, "verifierKey": verifier, "handOvers": hand_overs})


@router.get(
    "/checkpoint",
    summary="The newest signed checkpoint of a log",
    response_model=LogCheckpoint,
    responses=problems(_NO_CHECKPOINT),
)
async def read_checkpoint(
    request: Request, officer: SecurityCaller, asked: Annotated[AskedLog, Query()]
) -> Response:
    """Keep it: a later one must be proven to extend it."""
    newest = await asyncio.to_thread(_newest, services_of(request), asked.log)
    await note(request, officer, access.LOG_READ, "done", bankId=officer.bank_id)
    found = parse_checkpoint(unverified_text(newest.note))
    return _json(
        {
            "log": asked.log,
            "origin": found.origin,
            "size": found.size,
            "root": _base64(found.root),
            "position": position_of(found),
            "checkpoint": newest.note,
        }
    )


@router.get(
    "/proof/inclusion",
    summary="Prove that a record is in a log",
    response_model=Inclusion,
    responses=problems(_NOT_IN_LOG),
)
async def prove_inclusion(
    request: Request, officer: SecurityCaller, asked: Annotated[AskedInclusion, Query()]
) -> Response:
    """An event is covered by a checkpoint at most 10 s after it is on Kafka."""
    found = await asyncio.to_thread(_inclusion, services_of(request), officer, asked)
    outcome = "not-found" if found is None else "found"
    await note(request, officer, access.LOG_READ, outcome, bankId=officer.bank_id, about=asked.ref)
    if found is None:
        raise not_in_log()
    return _json(found)


@router.get(
    "/proof/consistency",
    summary="Prove that a log only grew",
    response_model=Consistency,
    responses=problems(_NO_CHECKPOINT),
)
async def prove_consistency(
    request: Request, officer: SecurityCaller, asked: Annotated[AskedConsistency, Query()]
) -> Response:
    """That the tree of `from` leaves is the beginning of that of `to` leaves."""
    found = await asyncio.to_thread(_consistency, services_of(request), asked)
    await note(request, officer, access.LOG_READ, "done", bankId=officer.bank_id)
    return _json(found)


def _newest(services: Services, log: str) -> Stored:
    found = services.security.trees.newest_checkpoint(log)
    if found is None:
        raise no_checkpoint()
    return found


def _inclusion(
    services: Services, officer: Security, asked: AskedInclusion
) -> dict[str, Any] | None:
    trees = services.security.trees
    newest = trees.newest_checkpoint(asked.log)
    place = trees.leaf_of(asked.log, asked.ref)
    if newest is None or place is None:
        return None
    size = asked.size or newest.size
    (index, bank_id), leaf = place, None
    if asked.log == EVENTS_LOG:
        leaf = _event(services, int(asked.ref))
        bank_id = orjson.loads(leaf)["data"]["bankId"]
    if not index < size <= newest.size or officer.bank_id not in {None, bank_id}:
        return None
    nodes = trees.nodes(asked.log)
    signed = trees.newest_checkpoint(asked.log, up_to=size)
    return {
        "log": asked.log,
        "ref": asked.ref,
        "index": index,
        "leafHash": _base64(nodes(0, index)),
        "leaf": leaf,
        "size": size,
        "root": _base64(root_at(size, nodes)),
        "path": [_base64(one) for one in inclusion_path(index, size, nodes)],
        "checkpoint": signed.note if signed and signed.size == size else None,
        "howToCheck": HOW_TO_CHECK,
    }


def _event(services: Services, event_id: int) -> str:
    """The exact bytes of an event that is in the log."""
    found = services.ledger.events.store.select_notifications(event_id, 1, topics=EVENT_TYPES)
    return public_bytes(found[0].id, found[0].state).decode()


def _consistency(services: Services, asked: AskedConsistency) -> dict[str, Any]:
    newest = _newest(services, asked.log)
    end = asked.end or newest.size
    if end > newest.size:
        raise Refusal(400, "bad-input", "to is more than any checkpoint has", field="to")
    if asked.start > end:
        raise Refusal(400, "bad-input", "from must not be more than to", field="from")
    nodes = services.security.trees.nodes(asked.log)
    return {
        "log": asked.log,
        "from": asked.start,
        "to": end,
        "fromRoot": _base64(root_at(asked.start, nodes)),
        "toRoot": _base64(root_at(end, nodes)),
        "path": [_base64(one) for one in consistency_path(asked.start, end, nodes)],
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
