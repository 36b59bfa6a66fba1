"""The trail: events and access records as lines of one shape.

Search, archive, export and rules all see this shape, so that a field has one name everywhere: in
the audit read models, as a Parquet column, in a Sigma rule and in a CSV's head.
"""

from typing import Any, Final, NamedTuple

from device_ledger.wire.access import AccessRecord
from device_ledger.wire.events import COMMAND_REFUSED, LEDGER_RESTORED, PublicEvent

EVENTS_LOG: Final = "events"
ACCESS_LOG: Final = "access"


class Entry(NamedTuple):
    """One line of the trail. Entries are in the order of ``(at, seq, ref)``, the same everywhere.

    ``ref`` is the event's id as decimal text, or the access record's UUID; ``log`` is ``events`` or
    ``access``; ``at`` the recorded time (RFC 3339, UTC, milliseconds); ``seq`` the event's id, 0
    for an access record. ``outcome`` is ``done``, ``refused``, ``found`` or ``not-found``. ``cell``
    is the middle of a cell of half a degree, ``+52.25+013.25`` (ISO 6709). Every field but the
    first six is ``None`` where the record doesn't say it.
    """

    ref: str
    log: str
    at: str
    seq: int
    type: str
    outcome: str
    code: str | None = None
    command: str | None = None
    device_token: str | None = None
    bank_id: str | None = None
    customer_id: str | None = None
    user_id: str | None = None
    merchant_id: str | None = None
    registration_id: str | None = None
    caller: str | None = None
    actor: str | None = None
    client: str | None = None
    request_id: str | None = None
    phrase_token: str | None = None
    name_token: str | None = None
    address_token: str | None = None
    country: str | None = None
    cell: str | None = None
    device_type: str | None = None
    brand: str | None = None
    model: str | None = None
    os: str | None = None
    route: str | None = None
    count: int | None = None  # type: ignore[assignment] # not the method of tuples
    about: str | None = None
    reason: str | None = None


def entry_of_event(event: PublicEvent) -> Entry:
    """The line of an event.

    Raises:
        KeyError: it lacks a field that every event has.
    """
    data = event.data
    refused = event.type == COMMAND_REFUSED
    actor = data["actor"]
    info: dict[str, Any] = data.get("info") or {}
    # A refusal without a device is filed under its user.
    about = event.type != LEDGER_RESTORED and not (refused and event.subject == data["userId"])
    return Entry(
        ref=str(event.id),
        log=EVENTS_LOG,
        at=event.time,
        seq=event.id,
        type=event.type,
        outcome="refused" if refused else "done",
        code=data.get("code"),
        command=data.get("command"),
        device_token=event.subject if about else None,
        bank_id=data["bankId"] or None,
        customer_id=data.get("customerId"),
        user_id=data["userId"] or None,
        registration_id=data.get("registrationId"),
        actor=actor["subject"],
        client=actor.get("client"),
        request_id=data["requestId"],
        phrase_token=data.get("phraseToken"),
        name_token=data.get("nameToken"),
        address_token=data.get("addressToken"),
        country=data.get("country"),
        cell=data.get("cell"),
        device_type=data.get("deviceType"),
        brand=info.get("brand"),
        model=info.get("model"),
        os=info.get("os"),
        reason=data.get("reason"),
    )


def entry_of_access(record: AccessRecord) -> Entry:
    """The line of an access record.

    Raises:
        KeyError: it lacks a field that every access record has.
    """
    data = record.data
    actor = data.get("actor") or {}
    return Entry(
        ref=record.id,
        log=ACCESS_LOG,
        at=record.time,
        seq=0,
        type=record.type,
        outcome=data["outcome"],
        code=data.get("code"),
        device_token=record.subject,
        bank_id=data.get("bankId"),
        customer_id=data.get("customerId"),
        user_id=data.get("userId"),
        merchant_id=data.get("merchantId"),
        caller=data.get("caller"),
        actor=actor.get("subject"),
        client=actor.get("client"),
        request_id=data["requestId"],
        address_token=data.get("addressToken"),
        route=data.get("route"),
        count=data.get("count"),
        about=data.get("about"),
        reason=data.get("reason"),
    )
