"""Alerts as JSON."""

from typing import Any

import orjson
from pydantic import BaseModel, Field

from projections.alerts.apply import AlertRow


class Acknowledgement(BaseModel):
    """Who took note of an alert, and when."""

    at: str = Field(examples=["2026-01-31T10:00:00.000Z"])
    by: str = Field(examples=["lead-1"])
    note: str | None = Field(None, examples=["called the customer, it was her"])


class RaisedAlert(BaseModel):
    """A rule fired. ``at`` is the time of the entry ``completedBy``, with which it became true.

    ``evidence`` names entries of the trail, the newest 100 of ``evidenceCount``.
    """

    id: str = Field(examples=["8d1f0c7e-5b1e-5f0e-9d55-1f2e6f5c7a42"])
    rule: str = Field(examples=["device-farm"])
    title: str = Field(examples=["One device cycles through customers"])
    level: str = Field(examples=["high"])
    at: str = Field(examples=["2026-01-31T09:30:00.000Z"])
    firstAt: str = Field(examples=["2026-01-31T09:00:00.000Z"])  # noqa: N815 - JSON's own name
    completedBy: str = Field(examples=["4711"])  # noqa: N815
    group: dict[str, str] = Field(
        examples=[{"device_token": "Vn3UZ8m1QkM0xw7Yd2bC5tRr4hLqPz9sJfA6eGiKoTU"}]
    )
    evidence: list[str] = Field(examples=[["4699", "4705", "4711"]])
    evidenceCount: int = Field(examples=[3])  # noqa: N815
    bankId: str | None = Field(None, examples=["bank-1"])  # noqa: N815
    deviceToken: str | None = Field(None)  # noqa: N815
    customerId: str | None = Field(None)  # noqa: N815
    merchantId: str | None = Field(None)  # noqa: N815


class Alert(RaisedAlert):
    """An alert, and who took note of it."""

    acknowledged: Acknowledgement | None = None


def told(row: AlertRow) -> dict[str, Any]:
    """An alert as JSON; what it doesn't say is left out, but for ``acknowledged``."""
    alert: dict[str, Any] = {
        "id": row.id,
        "rule": row.rule,
        "title": row.title,
        "level": row.level,
        "at": row.at,
        "firstAt": row.first_at,
        "completedBy": row.completed_by,
        "group": orjson.loads(row.group_values),
        "evidence": orjson.loads(row.evidence),
        "evidenceCount": row.evidence_count,
    }
    about = {
        "bankId": row.bank_id,
        "deviceToken": row.device_token,
        "customerId": row.customer_id,
        "merchantId": row.merchant_id,
    }
    alert |= {name: value for name, value in about.items() if value is not None}
    alert["acknowledged"] = None
    if row.acknowledged_at is not None:
        alert["acknowledged"] = {"at": row.acknowledged_at, "by": row.acknowledged_by} | (
            {} if row.note is None else {"note": row.note}
        )
    return alert
