"""Lines of the trail as OCSF events: whole documents, and each kind against the schema."""

import pytest

from device_ledger import __version__
from device_ledger.wire import access, events
from device_ledger.wire.trail import Entry, entry_of_event
from projections.export.ocsf import KINDS, REFUSED, document_of, kind_of, milliseconds
from tests.samples import entries
from tests.samples.events import BANK, CUSTOMER, DEVICE, REGISTRATION, USER, at, event
from tests.support.ocsf import problems_of

PRODUCT = {"name": "Device Ledger", "vendor_name": "Device Ledger", "version": __version__}
OWNER = {"uid": USER, "uid_alt": CUSTOMER, "org": {"uid": BANK}}
T0_MILLISECONDS = 1_769_851_800_000


def of_type(type_: str) -> Entry:
    """The standard line of a type."""
    if type_ in access.ACCESS_TYPES:
        return entries.accessed(type_, "found", DEVICE, bankId=BANK, userId=USER, about="alert-1")
    if type_ == events.DEVICE_LOGIN_SEEN:
        return entries.LOGIN
    return entry_of_event(event(type_, 2))


def test_a_link_is_an_enrolment_of_the_device() -> None:
    device = {"uid": DEVICE, "type_id": 0, "type": "Unknown", "owner": OWNER}
    assert document_of(entries.LINKED) == {
        "class_uid": 3004,
        "class_name": "Entity Management",
        "category_uid": 3,
        "category_name": "Identity & Access Management",
        "activity_id": 6,
        "activity_name": "Enroll",
        "type_uid": 300406,
        "type_name": "Entity Management: Enroll",
        "time": T0_MILLISECONDS + 2_000,
        "severity_id": 1,
        "severity": "Informational",
        "status_id": 1,
        "status": "Success",
        "metadata": {
            "version": "1.8.0",
            "profiles": ["host"],
            "product": PRODUCT,
            "uid": "events/2",
            "original_event_uid": "2",
            "original_time": at(2),
            "event_code": "device.linked.v1",
            "log_name": "device-ledger.events.v1",
            "sequence": 2,
            "correlation_uid": "request-2",
            "tenant_uid": BANK,
        },
        "actor": {"user": {"uid": "bank-service"}},
        "entity": {"type_id": 1, "type": "Device", "uid": DEVICE, "device": device},
        "device": device,
        "unmapped": {"phrase_token": "phrase-token-1", "registration_id": REGISTRATION},
    }


def test_a_login_is_a_logon_from_where_it_was() -> None:
    document = document_of(entries.LOGIN)
    shown = {name: document[name] for name in ("type_uid", "user", "device", "src_endpoint")}
    assert shown == {
        "type_uid": 300201,
        "user": OWNER | {"type_id": 1, "type": "User"},
        "device": {
            "uid": DEVICE,
            "type_id": 5,
            "type": "Mobile",
            "vendor_name": "Apple",
            "model": "iPhone",
            "os": {"name": "iOS", "type_id": 301, "type": "iOS"},
        },
        "src_endpoint": {
            "uid": entries.ADDRESS,
            "location": {"country": "DE", "lat": 52.25, "long": 13.25},
        },
    }


def test_a_lookup_is_a_read_over_the_api() -> None:
    found = entries.accessed(
        access.DEVICE_LOOKED_UP, "found", DEVICE, bankId=BANK, customerId=CUSTOMER, userId=USER
    )
    document = document_of(found)
    assert document["metadata"].pop("product") == PRODUCT
    assert document == {
        "class_uid": 6003,
        "class_name": "API Activity",
        "category_uid": 6,
        "category_name": "Application Activity",
        "activity_id": 2,
        "activity_name": "Read",
        "type_uid": 600302,
        "type_name": "API Activity: Read",
        "time": T0_MILLISECONDS + 9_000,
        "severity_id": 1,
        "severity": "Informational",
        "status_id": 1,
        "status": "Success",
        "status_detail": "found",
        "metadata": {
            "version": "1.8.0",
            "uid": f"access/{entries.ACCESS_ID}",
            "original_event_uid": entries.ACCESS_ID,
            "original_time": at(9),
            "event_code": "device.looked_up.v1",
            "log_name": "device-ledger.access.v1",
            "correlation_uid": "request-9",
            "tenant_uid": BANK,
        },
        "actor": {"user": {"uid": "shop-backend", "org": {"uid": "shop-1"}}, "app_uid": "till"},
        "api": {
            "operation": "/v1/customer/device/lookup",
            "request": {"uid": "request-9"},
            "service": {"name": "Device Ledger"},
        },
        "src_endpoint": {"uid": entries.ADDRESS},
        "resources": [
            {"uid": DEVICE, "type": "device"},
            {"uid": USER, "name": CUSTOMER, "namespace": BANK, "type": "customer"},
        ],
        "unmapped": {"caller": "merchant", "merchant_id": "shop-1"},
    }


def test_a_device_that_was_not_found_is_a_lookup_that_worked() -> None:
    document = document_of(entries.accessed(access.DEVICE_LOOKED_UP, "not-found", DEVICE))
    assert (document["status"], document["status_detail"]) == ("Success", "not-found")


@pytest.mark.parametrize(
    ("command", "type_uid"),
    [
        ("link", 300406),
        ("unlink", 300407),
        ("deactivate", 300411),
        ("deactivate-all", 300411),
        ("erase", 300404),
        ("login-seen", 600301),
        ("another", 600300),
    ],
)
def test_a_refused_command_is_a_failure_of_what_it_would_have_been(
    command: str, type_uid: int
) -> None:
    document = document_of(entries.refused(6, command, "device-taken"))
    told = (document["type_uid"], document["status"], document["status_code"])
    assert told == (type_uid, "Failure", "device-taken")
    assert problems_of(document) == []


def test_a_refusal_without_a_device_is_about_the_user() -> None:
    document = document_of(entries.refused(6, "deactivate-all", "no-such-device", device=USER))
    assert document["entity"] == {"type_id": 2, "type": "User", "uid": USER, "user": OWNER}
    assert problems_of(document) == []


def test_a_request_of_nobody_is_a_failure_of_an_unknown_user() -> None:
    document = document_of(
        entries.accessed(
            access.REQUEST_REFUSED, "refused", code="no-token", actor=None, addressToken=None
        )
    )
    assert document["actor"] == {"user": {"name": "Unknown", "type_id": 0, "type": "Unknown"}}
    assert (document["status"], document["status_code"]) == ("Failure", "no-token")
    assert problems_of(document) == []


def test_every_type_of_the_trail_is_mapped() -> None:
    known = {*events.EVENT_TYPES, *access.ACCESS_TYPES} - {events.COMMAND_REFUSED}
    assert set(KINDS) == known
    assert {kind.class_uid for kind in REFUSED.values()} == {3004, 6003}


@pytest.mark.parametrize("type_", sorted(KINDS))
def test_every_kind_of_document_is_valid(type_: str) -> None:
    document = document_of(of_type(type_))
    assert problems_of(document) == []
    assert document["type_uid"] == kind_of(of_type(type_)).class_uid * 100 + document["activity_id"]


def test_a_type_of_tomorrow_is_an_api_activity_of_no_known_kind() -> None:
    document = document_of(entries.accessed("device.teleported.v1", "found", DEVICE))
    assert (document["type_uid"], problems_of(document)) == (600300, [])


@pytest.mark.parametrize("system", ["iOS", "Mac OS X", "Windows", "Plan 9", None])
@pytest.mark.parametrize("kind", ["Mobile", "Tablet", "Desktop", "Other", "Unknown", None])
def test_every_device_is_valid(system: str | None, kind: str | None) -> None:
    document = document_of(entries.LOGIN._replace(os=system, device_type=kind, country=None))
    assert problems_of(document) == []


def test_nothing_sealed_stands_in_a_document() -> None:
    assert "sealed" not in str(document_of(entries.LOGIN))


def test_the_schema_refuses_what_is_wrong() -> None:
    document = document_of(entries.LINKED)
    assert problems_of(document | {"activity_id": 77}) != []
    assert problems_of(document | {"activity_name": "Create"}) != []
    assert problems_of({**document, "elsewhere": 1} | {"elsewhere": 1}) != []
    assert problems_of({name: document[name] for name in document if name != "entity"}) != []


def test_times_are_exact_to_the_millisecond() -> None:
    assert milliseconds("2026-01-31T09:30:00.007Z") == T0_MILLISECONDS + 7
