"""Alerts with their evidence as OCSF findings."""

import orjson
import pytest

from device_ledger import __version__
from projections.alerts.apply import AlertRow
from projections.export.ocsf_findings import finding_of
from tests.samples import entries
from tests.samples.events import BANK, CUSTOMER, DEVICE, USER, at
from tests.support.ocsf import problems_of

ALERT = AlertRow(
    id="5f0c8a5e-7a53-5f0e-9d55-1f2e6f5c7a42",
    arrived=1,
    kind="alert",
    rule="device-farm",
    title="One device cycles through customers",
    level="high",
    at=at(4),
    first_at=at(2),
    completed_by="4",
    group_values=orjson.dumps({"device_token": DEVICE}).decode(),
    evidence=orjson.dumps(["2", "4", entries.ACCESS_ID]).decode(),
    evidence_count=3,
    bank_id=BANK,
    device_token=DEVICE,
    customer_id=CUSTOMER,
    merchant_id=None,
)


def test_an_alert_is_a_finding_with_its_evidence() -> None:
    document = finding_of(ALERT, [entries.LINKED, entries.UNLINKED])
    owner = {"uid": USER, "uid_alt": CUSTOMER, "org": {"uid": BANK}}
    evidence = {
        "device": {"uid": DEVICE, "type_id": 0, "type": "Unknown"},
        "user": owner,
        "actor": {"user": {"uid": "bank-service"}},
    }
    assert document == {
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "category_uid": 2,
        "category_name": "Findings",
        "activity_id": 1,
        "activity_name": "Create",
        "type_uid": 200401,
        "type_name": "Detection Finding: Create",
        "time": 1_769_851_804_000,
        "severity_id": 4,
        "severity": "High",
        "status_id": 1,
        "status": "New",
        "is_alert": True,
        "message": ALERT.title,
        "metadata": {
            "version": "1.8.0",
            "product": {
                "name": "Device Ledger",
                "vendor_name": "Device Ledger",
                "version": __version__,
            },
            "uid": f"alerts/{ALERT.id}",
            "original_event_uid": ALERT.id,
            "original_time": at(4),
            "event_code": "alert.raised.v1",
            "log_name": "device-ledger.alerts.v1",
            "tenant_uid": BANK,
        },
        "finding_info": {
            "uid": ALERT.id,
            "title": ALERT.title,
            "analytic": {"uid": "device-farm", "name": ALERT.title, "type_id": 1, "type": "Rule"},
            "created_time": 1_769_851_804_000,
            "first_seen_time": 1_769_851_802_000,
            "last_seen_time": 1_769_851_804_000,
            "related_events": [
                {"uid": "events/2"},
                {"uid": "events/4"},
                {"uid": f"access/{entries.ACCESS_ID}"},
            ],
            "related_events_count": 3,
        },
        "evidences": [
            {"uid": "events/2", "name": "device.linked.v1"} | evidence,
            {"uid": "events/4", "name": "device.unlinked.v1"} | evidence,
        ],
        "resources": [{"uid": DEVICE, "type": "device"}, {"uid": CUSTOMER, "type": "customer"}],
        "unmapped": {"group": {"device_token": DEVICE}},
    }
    assert problems_of(document) == []


def test_an_alert_that_a_lead_took_note_of_is_in_progress() -> None:
    seen = ALERT._replace(acknowledged_at=at(9), acknowledged_by="lead-1", note="called her")
    document = finding_of(seen, [])
    assert (document["status"], document["comment"]) == ("In Progress", "called her")
    assert problems_of(document) == []


@pytest.mark.parametrize("level", ["informational", "low", "medium", "high", "critical", "?"])
def test_every_level_is_a_severity(level: str) -> None:
    assert problems_of(finding_of(ALERT._replace(level=level), [])) == []


def test_an_alert_about_nothing_named_is_valid() -> None:
    bare = ALERT._replace(bank_id=None, device_token=None, customer_id=None)
    assert problems_of(finding_of(bare, [entries.accessed("devices.listed.v1", "found")])) == []
