"""What an event makes of a user's registration of a device."""

from pathlib import Path
from typing import Any, NamedTuple

import orjson

from device_ledger.wire import events
from device_ledger.wire.events import PublicEvent
from projections.model import Folded


class Device(NamedTuple):
    """A registration. ``info`` is a JSON object; what no login ever told is ``None``."""

    registration_id: str
    device_token: str
    bank_id: str
    user_id: str
    key_generation: int
    sealed_device_id: str
    info: str
    type: str | None
    sealed_name: str | None
    sealed_address: str | None
    registered_at: str
    updated_at: str
    last_seen_at: str | None
    deleted_at: str | None


_TYPES = {
    events.DEVICE_REGISTERED,
    events.DEVICE_LOGIN_SEEN,
    events.DEVICE_DEACTIVATED,
    events.DEVICE_ERASED,
}


def key_of(event: PublicEvent) -> str | None:
    """The registration's ID, for the events that tell something of one."""
    return event.data["registrationId"] if event.type in _TYPES else None


def apply(row: Device | None, event: PublicEvent) -> Device | None:
    """The registration after the event."""
    if event.type == events.DEVICE_REGISTERED:
        return _registered(row, event)
    if row is None or event.type == events.DEVICE_ERASED:
        return None
    if event.type == events.DEVICE_DEACTIVATED:
        ended = event.data["deactivatedAt"]
        return row._replace(deleted_at=ended, updated_at=max(row.updated_at, ended))
    return _seen(row, event.data)


def _registered(row: Device | None, event: PublicEvent) -> Device:
    data = event.data
    if row is not None:
        return row._replace(
            key_generation=data["keyGeneration"],
            sealed_device_id=data["sealedDeviceId"],
            updated_at=max(row.updated_at, data["registeredAt"]),
            deleted_at=None,
        )
    return Device(
        registration_id=data["registrationId"],
        device_token=event.subject,
        bank_id=data["bankId"],
        user_id=data["userId"],
        key_generation=data["keyGeneration"],
        sealed_device_id=data["sealedDeviceId"],
        info="{}",
        type=None,
        sealed_name=None,
        sealed_address=None,
        registered_at=data["registeredAt"],
        updated_at=data["registeredAt"],
        last_seen_at=None,
        deleted_at=None,
    )


def _seen(row: Device, data: dict[str, Any]) -> Device:
    info = data.get("info")
    return row._replace(
        key_generation=data["keyGeneration"],
        info=orjson.dumps(info, option=orjson.OPT_SORT_KEYS).decode() if info else row.info,
        type=data.get("deviceType", row.type),
        sealed_name=data.get("sealedName", row.sealed_name),
        sealed_address=data.get("sealedAddress", row.sealed_address),
        updated_at=max(row.updated_at, data["seenAt"]),
        last_seen_at=max(row.last_seen_at or "", data["seenAt"]),
    )


MODEL = Folded(
    name="devices",
    table="devices",
    row=Device,
    folder=Path(__file__).parent,
    key_of=key_of,
    apply=apply,
)
