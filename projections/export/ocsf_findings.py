"""An alert and its evidence as a Detection Finding of OCSF."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from device_ledger.wire import alerts, topics
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG, Entry
from projections.alerts.apply import AlertRow
from projections.export.ocsf import (
    FINDING,
    VERSION,
    Document,
    head_of,
    milliseconds,
    product,
    uid_of,
)
from projections.export.ocsf_parts import UNKNOWN, Part, actor_of, device_of, told, user_of

_LEVELS: Final = {
    "informational": (1, "Informational"),
    "low": (2, "Low"),
    "medium": (3, "Medium"),
    "high": (4, "High"),
    "critical": (5, "Critical"),
}


def finding_of(alert: AlertRow, evidence: Sequence[Entry]) -> Document:
    """An alert as an OCSF event. ``evidence`` are the entries of its references that are there;
    the references stand in ``finding_info.related_events`` in any case."""
    severity_id, severity = _LEVELS.get(alert.level, (0, UNKNOWN))
    status_id, status = (2, "In Progress") if alert.acknowledged_at else (1, "New")
    return head_of(FINDING, alert.at) | told(
        severity_id=severity_id,
        severity=severity,
        status_id=status_id,
        status=status,
        is_alert=True,
        message=alert.title,
        comment=alert.note,
        metadata=_metadata(alert),
        finding_info=_info(alert),
        evidences=[_evidence(entry) for entry in evidence] or None,
        resources=_resources(alert) or None,
        unmapped=told(
            group=orjson.loads(alert.group_values),
            acknowledged_at=alert.acknowledged_at,
            acknowledged_by=alert.acknowledged_by,
        ),
    )


def _metadata(alert: AlertRow) -> Part:
    return told(
        version=VERSION,
        product=product(),
        uid=uid_of("alerts", alert.id),
        original_event_uid=alert.id,
        original_time=alert.at,
        event_code=alerts.ALERT_RAISED,
        log_name=topics.ALERTS,
        tenant_uid=alert.bank_id,
    )


def _info(alert: AlertRow) -> Part:
    refs = orjson.loads(alert.evidence)
    return {
        "uid": alert.id,
        "title": alert.title,
        "analytic": {"uid": alert.rule, "name": alert.title, "type_id": 1, "type": "Rule"},
        "created_time": milliseconds(alert.at),
        "first_seen_time": milliseconds(alert.first_at),
        "last_seen_time": milliseconds(alert.at),
        "related_events": [{"uid": uid_of(_log_of(ref), ref)} for ref in refs],
        "related_events_count": alert.evidence_count,
    }


def _evidence(entry: Entry) -> Part:
    return told(
        uid=uid_of(entry.log, entry.ref),
        name=entry.type,
        device=device_of(entry) if entry.device_token else None,
        user=user_of(entry) if entry.user_id else None,
        actor=actor_of(entry),
    )


def _resources(alert: AlertRow) -> list[Part]:
    told_of: list[tuple[str, Any]] = [
        ("device", alert.device_token),
        ("customer", alert.customer_id),
        ("merchant", alert.merchant_id),
    ]
    return [{"uid": uid, "type": kind} for kind, uid in told_of if uid is not None]


def _log_of(ref: str) -> str:
    return EVENTS_LOG if ref.isdigit() else ACCESS_LOG
