"""Evaluates a rule: all of its alerts in a range of time, the same however the range is cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from device_ledger.wire.alerts import Alert, alert_id
from projections.detection.plan import Windowed
from projections.detection.rules import Rule
from projections.detection.run import Run, text_of


@dataclass(frozen=True, slots=True)
class FoundAlert:
    """A rule fired: the fields are those of :class:`device_ledger.wire.alerts.Alert`, with its
    ``id``. ``evidence`` has the newest references, in the trail's order."""

    id: str
    rule: str
    title: str
    level: str
    at: str
    first_at: str
    completed_by: str
    group: dict[str, str]
    evidence: tuple[str, ...]
    evidence_count: int
    bank_id: str | None = None
    device_token: str | None = None
    customer_id: str | None = None
    merchant_id: str | None = None

    def data(self) -> Alert:
        """The alert as the alerts topic tells it."""
        told = Alert(
            rule=self.rule,
            title=self.title,
            level=self.level,
            at=self.at,
            firstAt=self.first_at,
            completedBy=self.completed_by,
            group=self.group,
            evidence=list(self.evidence),
            evidenceCount=self.evidence_count,
        )
        if self.bank_id is not None:
            told["bankId"] = self.bank_id
        if self.device_token is not None:
            told["deviceToken"] = self.device_token
        if self.customer_id is not None:
            told["customerId"] = self.customer_id
        if self.merchant_id is not None:
            told["merchantId"] = self.merchant_id
        return told


def evaluate(
    connection: duckdb.DuckDBPyConnection, rule: Rule, after: datetime, through: datetime
) -> list[FoundAlert]:
    """The rule's alerts with ``after < at <= through``, in the order of ``(at, seq, ref)``.

    ``connection`` has a relation ``trail`` of the columns of :class:`device_ledger.wire.trail.
    Entry`, ``at`` as TIMESTAMP in UTC, that reaches ``rule.lookback`` before ``after``. Both times
    have a time zone. Temporary tables of its own are made there and dropped again.

    Raises:
        duckdb.Error: the relation can't be read, the memory or spill space does not suffice, or
            there are more than 100,000 alerts.
    """
    rows = Run(connection).alerts(rule.plan, after, through)
    groups = rule.plan.groups if isinstance(rule.plan, Windowed) else ()
    return [_alert(rule, groups, row) for row in rows]


def _alert(rule: Rule, groups: Sequence[str], row: Any) -> FoundAlert:
    t, _, ref, *rest = row
    *values, count, first, newest, bank, device, customer, merchant = rest
    group = dict(zip(groups, values, strict=False))
    return FoundAlert(
        id=alert_id(rule.name, group, ref),
        rule=rule.name,
        title=rule.title,
        level=rule.level,
        at=text_of(t),
        first_at=text_of(first),
        completed_by=ref,
        group=group,
        evidence=tuple(newest),
        evidence_count=count,
        bank_id=bank,
        device_token=device,
        customer_id=customer,
        merchant_id=merchant,
    )
