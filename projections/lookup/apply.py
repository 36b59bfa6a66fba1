"""What an event makes of a device's link."""

from pathlib import Path
from typing import NamedTuple

from device_ledger.wire import events
from device_ledger.wire.events import PublicEvent
from projections.model import Folded


class Lookup(NamedTuple):
    """A linked device; its sealed fields open under (bank, user, key generation)."""

    device_token: str
    bank_id: str
    customer_id: str
    user_id: str
    registration_id: str
    key_generation: int
    sealed_device_id: str
    sealed_phrase: str
    linked_at: str


_ENDINGS = {events.DEVICE_UNLINKED, events.DEVICE_DEACTIVATED, events.DEVICE_ERASED}


def key_of(event: PublicEvent) -> str | None:
    """The device token, for the events that make or end a link."""
    if event.type == events.DEVICE_LINKED or event.type in _ENDINGS:
        return event.subject
    return None


def apply(row: Lookup | None, event: PublicEvent) -> Lookup | None:
    """The device's link after the event; only its own customer's events end it."""
    data = event.data
    if event.type == events.DEVICE_LINKED:
        return Lookup(
            device_token=event.subject,
            bank_id=data["bankId"],
            customer_id=data["customerId"],
            user_id=data["userId"],
            registration_id=data["registrationId"],
            key_generation=data["keyGeneration"],
            sealed_device_id=data["sealedDeviceId"],
            sealed_phrase=data["sealedPhrase"],
            linked_at=data["linkedAt"],
        )
    if row and (row.bank_id, row.user_id) == (data["bankId"], data["userId"]):
        return None
    return row


MODEL = Folded(
    name="lookup",
    table="lookup",
    row=Lookup,
    folder=Path(__file__).parent,
    key_of=key_of,
    apply=apply,
)
