"""Standard lines of the trail."""

from typing import Any

from device_ledger.wire.access import AccessRecord
from device_ledger.wire.trail import Entry, entry_of_access, entry_of_event
from tests.samples import events

ADDRESS = "address-token-1"
ACCESS_ID = "019ab0de-0b7e-7a39-9d5b-2f9f6f5c7a42"
LOGIN = entry_of_event(
    events.login_seen(
        3,
        deviceType="Mobile",
        info={"brand": "Apple", "model": "iPhone", "os": "iOS"},
        nameToken="name-token-1",
        sealedName="sealed-name",
        addressToken=ADDRESS,
        sealedAddress="sealed-address",
        country="DE",
        cell="+52.25+013.25",
    )
)
LINKED = entry_of_event(events.linked(2))
UNLINKED = entry_of_event(events.unlinked(4))
DEACTIVATED = entry_of_event(events.deactivated(5))


def refused(id_: int, command: str, code: str, *, device: str = events.DEVICE) -> Entry:
    """A command was refused."""
    event = events.event("command.refused.v1", id_, device=device, command=command, code=code)
    del event.data["registrationId"]
    return entry_of_event(event)


def accessed(type_: str, outcome: str, subject: str | None = None, **data: Any) -> Entry:
    """The merchant shop-1 asked for something, save for what is given."""
    told = {
        "outcome": outcome,
        "requestId": "request-9",
        "caller": "merchant",
        "actor": {"subject": "shop-backend", "client": "till"},
        "merchantId": "shop-1",
        "addressToken": ADDRESS,
        "route": "/v1/customer/device/lookup",
    } | data
    kept = {name: value for name, value in told.items() if value is not None}
    record = AccessRecord(ACCESS_ID, events.SOURCE, type_, subject, events.at(9), kept)
    return entry_of_access(record)
