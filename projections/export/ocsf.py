"""Lines of the trail and alerts as events of the Open Cybersecurity Schema Framework (OCSF) 1.8.

https://schema.ocsf.io/1.8.0. ``docs/export.md`` has the mapping as a table; a test validates every
kind of document against the published schema. What OCSF has no place for is below ``unmapped``,
under the name that it has in the trail.
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

from device_ledger import __version__
from device_ledger.wire import access, events, topics
from device_ledger.wire.trail import EVENTS_LOG, Entry
from projections.export.ocsf_parts import (
    UNKNOWN,
    actor_of,
    device_of,
    origin_of,
    resources_of,
    told,
    user_of,
)

VERSION: Final = "1.8.0"

Document = dict[str, Any]


class Kind(NamedTuple):
    """An OCSF class and one of its activities."""

    class_uid: int
    class_name: str
    category_uid: int
    category_name: str
    activity_id: int
    activity_name: str


def _entity(activity_id: int, activity_name: str) -> Kind:
    return Kind(
        3004, "Entity Management", 3, "Identity & Access Management", activity_id, activity_name
    )


def _api(activity_id: int, activity_name: str) -> Kind:
    return Kind(6003, "API Activity", 6, "Application Activity", activity_id, activity_name)


LOGON: Final = Kind(3002, "Authentication", 3, "Identity & Access Management", 1, "Logon")
FINDING: Final = Kind(2004, "Detection Finding", 2, "Findings", 1, "Create")
_ENROLL, _UNENROLL = _entity(6, "Enroll"), _entity(7, "Unenroll")
_DEACTIVATE, _DELETE = _entity(11, "Deactivate"), _entity(4, "Delete")
_API_CREATE, _API_READ = _api(1, "Create"), _api(2, "Read")
_API_UPDATE, _API_DELETE = _api(3, "Update"), _api(4, "Delete")

KINDS: Final[dict[str, Kind]] = {
    events.DEVICE_REGISTERED: _entity(1, "Create"),
    events.DEVICE_LINKED: _ENROLL,
    events.DEVICE_UNLINKED: _UNENROLL,
    events.DEVICE_LOGIN_SEEN: LOGON,
    events.DEVICE_DEACTIVATED: _DEACTIVATE,
    events.DEVICE_ERASED: _DELETE,
    events.LEDGER_RESTORED: _API_UPDATE,
    access.DEVICE_LOOKED_UP: _API_READ,
    access.DEVICES_LISTED: _API_READ,
    access.REQUEST_REFUSED: _api(0, "Unknown"),
    access.TRAIL_SEARCHED: _API_READ,
    access.HOLDER_ASKED: _API_READ,
    access.ALERTS_READ: _API_READ,
    access.ALERT_ACKNOWLEDGED: _API_UPDATE,
    access.REPLAY_STARTED: _API_CREATE,
    access.REPLAY_READ: _API_READ,
    access.REPLAY_CANCELLED: _API_UPDATE,
    access.LOG_READ: _API_READ,
    access.CUSTOMER_ERASED: _API_DELETE,
    access.VALUES_REVEALED: _API_READ,
    access.CHECKPOINT_CHECKED: _API_READ,
}
"""What each type of the trail is. A type that isn't here is an API activity of no known kind."""

REFUSED: Final[dict[str, Kind]] = {
    "link": _ENROLL,
    "unlink": _UNENROLL,
    "deactivate": _DEACTIVATE,
    "deactivate-all": _DEACTIVATE,
    "erase": _DELETE,
    # No logon that failed: a login that happened, and that the ledger did not record.
    "login-seen": _API_CREATE,
}
"""What a refused command would have been."""

_STATUSES: Final = {
    "done": (1, "Success"),
    "found": (1, "Success"),
    "not-found": (1, "Success"),
    "refused": (2, "Failure"),
}
_LOGS: Final = {EVENTS_LOG: topics.EVENTS, "access": topics.ACCESS}


def kind_of(entry: Entry) -> Kind:
    """The class and activity of a line."""
    if entry.type == events.COMMAND_REFUSED:
        return REFUSED.get(entry.command or "", _api(0, "Unknown"))
    return KINDS.get(entry.type, _api(0, "Unknown"))


def uid_of(log: str, ref: str) -> str:
    """The ``metadata.uid`` of a line's document."""
    return f"{log}/{ref}"


def document_of(entry: Entry) -> Document:
    """A line of the trail as an OCSF event."""
    kind = kind_of(entry)
    status_id, status = _STATUSES.get(entry.outcome, (0, UNKNOWN))
    document = head_of(kind, entry.at) | told(
        severity_id=1,
        severity="Informational",
        status_id=status_id,
        status=status,
        status_code=entry.code,
        status_detail=entry.outcome if entry.log != EVENTS_LOG else None,
        metadata=_metadata(entry, kind),
        actor=actor_of(entry),
        unmapped=_unmapped(entry),
    )
    if kind.class_uid == LOGON.class_uid:
        return document | _login(entry)
    return document | (_entity_management(entry) if kind.class_uid == 3004 else _api_call(entry))


def head_of(kind: Kind, at: str) -> Document:
    """What every document begins with. ``at`` is RFC 3339 in UTC."""
    return {
        "class_uid": kind.class_uid,
        "class_name": kind.class_name,
        "category_uid": kind.category_uid,
        "category_name": kind.category_name,
        "activity_id": kind.activity_id,
        "activity_name": kind.activity_name,
        "type_uid": kind.class_uid * 100 + kind.activity_id,
        "type_name": f"{kind.class_name}: {kind.activity_name}",
        "time": milliseconds(at),
    }


def product() -> Document:
    """Who tells it: ``metadata.product``."""
    return {"name": "Device Ledger", "vendor_name": "Device Ledger", "version": __version__}


def milliseconds(at: str) -> int:
    """The milliseconds since 1970 of an RFC 3339 time in UTC."""
    moment = datetime.fromisoformat(at)
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000


def _metadata(entry: Entry, kind: Kind) -> Document:
    names_device = entry.device_token is not None and kind.class_uid in {3002, 3004}
    return told(
        version=VERSION,
        # The profile that lets these classes have a device at their top.
        profiles=["host"] if names_device else None,
        product=product(),
        uid=uid_of(entry.log, entry.ref),
        original_event_uid=entry.ref,
        original_time=entry.at,
        event_code=entry.type,
        log_name=_LOGS.get(entry.log, entry.log),
        sequence=entry.seq or None,
        correlation_uid=entry.request_id,
        tenant_uid=entry.bank_id,
    )


def _entity_management(entry: Entry) -> Document:
    if entry.device_token is None:
        user = user_of(entry)
        return {"entity": {"type_id": 2, "type": "User", "uid": user["uid"], "user": user}}
    device = device_of(entry) | {"owner": user_of(entry)}
    return {
        "entity": {"type_id": 1, "type": "Device", "uid": entry.device_token, "device": device}
    } | told(device=device, src_endpoint=origin_of(entry))


def _login(entry: Entry) -> Document:
    # The bank's own systems are what was logged in to.
    return {
        "user": user_of(entry) | {"type_id": 1, "type": "User"},
        "service": {"uid": entry.bank_id, "name": "Online banking"},
        "is_remote": True,
    } | told(device=device_of(entry), src_endpoint=origin_of(entry))


def _api_call(entry: Entry) -> Document:
    request = {"uid": entry.request_id} if entry.request_id else None
    return {
        "api": told(
            operation=entry.route or entry.command or entry.type,
            request=request,
            service={"name": "Device Ledger"},
        ),
        "src_endpoint": origin_of(entry) or {"name": UNKNOWN},
    } | told(resources=resources_of(entry))


def _unmapped(entry: Entry) -> Document | None:
    names = (
        "caller",
        "cell",
        "command",
        "count",
        "about",
        "merchant_id",
        "name_token",
        "phrase_token",
        "reason",
        "registration_id",
    )
    return told(**{name: getattr(entry, name) for name in names}) or None
