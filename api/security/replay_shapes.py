"""Replays as JSON."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from api.security.alert_shapes import RaisedAlert
from api.security.replay_files import Replay, State


class ReplayedAlert(RaisedAlert):
    """An alert that the rules raise: ``new``, or the ``same`` as one of then."""

    was: Literal["new", "same"]


class Counts(BaseModel):
    """How many alerts are new, how many of then are gone, how many the same."""

    new: int = Field(examples=[1])
    gone: int = Field(examples=[0])
    same: int = Field(examples=[12])


class LateEntries(BaseModel):
    """Entries that came when the alerts of then had been decided already."""

    count: int = Field(examples=[0])
    refs: list[str] = Field(examples=[[]])


class ReplayResult(BaseModel):
    """What the rules come to, beside the alerts of then."""

    start: str = Field(alias="from", examples=["2026-01-30T00:00:00.000Z"])
    end: str = Field(alias="to", examples=["2026-01-31T00:00:00.000Z"])
    rules: list[str] = Field(examples=[["device-farm"]])
    entries: int = Field(examples=[3_000_000])
    alerts: list[ReplayedAlert]
    gone: list[RaisedAlert]
    counts: Counts
    late: LateEntries


class Progress(BaseModel):
    """How far it is. ``total`` and ``secondsLeft`` are null until they are known."""

    entriesRead: int = Field(examples=[1_200_000])  # noqa: N815
    total: int | None = Field(None, examples=[3_000_000])
    perSecond: float | None = Field(None, examples=[3_100_000.0])  # noqa: N815
    secondsLeft: float | None = Field(None, examples=[0.6])  # noqa: N815
    rule: str | None = Field(None, examples=["device-farm"])


class ToldReplay(BaseModel):
    """A replay. ``reason`` says why one failed; ``result`` is there once it is done."""

    id: str = Field(examples=["019ab4d2-7f3a-7c61-9d5b-2f9f6f5c7a42"])
    state: State = Field(examples=["running"])
    start: str = Field(alias="from", examples=["2026-01-30T00:00:00.000Z"])
    end: str = Field(alias="to", examples=["2026-01-31T00:00:00.000Z"])
    bankId: str | None = Field(examples=["bank-1"])  # noqa: N815
    rules: list[str] = Field(examples=[["device-farm"]])
    by: str = Field(examples=["officer-1"])
    askedAt: str = Field(examples=["2026-01-31T09:30:00.000Z"])  # noqa: N815
    startedAt: str | None = Field(examples=["2026-01-31T09:30:00.100Z"])  # noqa: N815
    endedAt: str | None = Field(None)  # noqa: N815
    reason: str | None = Field(None)
    progress: Progress | None = None
    result: ReplayResult | None = Field(None, description="There once it is done.")


class ToldReplays(BaseModel):
    """The replays that the officer may see, the newest first, without progress and result."""

    replays: list[ToldReplay]


def told(replay: Replay) -> dict[str, Any]:
    """A replay as JSON, without progress and result."""
    asked, standing = replay.asked, replay.standing
    return {
        "id": replay.id,
        "state": standing.state,
        "from": asked.start,
        "to": asked.end,
        "bankId": asked.bank_id,
        "rules": list(asked.rules),
        "by": asked.by,
        "askedAt": asked.at,
        "startedAt": standing.started_at,
        "endedAt": standing.ended_at,
        "reason": standing.reason,
    }
