"""The objects that OCSF documents are put together from: devices, users, places, resources."""

from typing import Any, Final

from device_ledger.wire.trail import Entry

UNKNOWN: Final = "Unknown"

Part = dict[str, Any]

_DEVICE_TYPES: Final = {
    "Desktop": (2, "Desktop"),
    "Mobile": (5, "Mobile"),
    "Tablet": (4, "Tablet"),
    "Other": (99, "Other"),
}
_SYSTEMS: Final = {
    "android": (201, "Android"),
    "ios": (301, "iOS"),
    "ipados": (302, "iPadOS"),
    "linux": (200, "Linux"),
    "mac os x": (300, "macOS"),
    "macos": (300, "macOS"),
    "windows": (100, "Windows"),
}
_CELL_LATITUDE: Final = slice(0, 6)
_CELL_LONGITUDE: Final = slice(6, 13)


def told(**fields: Any) -> Part:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value is not None}


def device_of(entry: Entry) -> Part:
    """The line's device, known by its token alone."""
    type_id, type_name = _DEVICE_TYPES.get(entry.device_type or "", (0, UNKNOWN))
    return told(
        uid=entry.device_token,
        type_id=type_id,
        type=type_name,
        vendor_name=entry.brand,
        model=entry.model,
        os=_system(entry.os),
    )


def user_of(entry: Entry) -> Part:
    """The bank's customer: by user ID, and by the bank's own pseudonym as ``uid_alt``."""
    return told(
        uid=entry.user_id or UNKNOWN,
        uid_alt=entry.customer_id,
        org={"uid": entry.bank_id} if entry.bank_id else None,
    )


def actor_of(entry: Entry) -> Part:
    """Who sent the command or asked: the token's subject and client."""
    if entry.actor is None:
        return {"user": {"name": UNKNOWN, "type_id": 0, "type": UNKNOWN}}
    org = {"uid": entry.merchant_id} if entry.merchant_id else None
    return told(user=told(uid=entry.actor, org=org), app_uid=entry.client)


def origin_of(entry: Entry) -> Part | None:
    """Where it came from: the address's token, and where that is."""
    if entry.address_token is None:
        return None
    return told(uid=entry.address_token, location=_location(entry))


def resources_of(entry: Entry) -> list[Part] | None:
    """What was looked at: a device, a customer, an alert or a replay."""
    resources = []
    if entry.device_token is not None:
        resources.append({"uid": entry.device_token, "type": "device"})
    if entry.user_id is not None:
        names = told(uid=entry.user_id, name=entry.customer_id, namespace=entry.bank_id)
        resources.append(names | {"type": "customer"})
    if entry.about is not None:
        resources.append({"uid": entry.about, "type": entry.type.partition(".")[0]})
    return resources or None


def _system(name: str | None) -> Part | None:
    if name is None:
        return None
    type_id, type_name = _SYSTEMS.get(name.lower(), (99, "Other"))
    return {"name": name, "type_id": type_id, "type": type_name}


def _location(entry: Entry) -> Part | None:
    if entry.country is None:
        return None
    place: Part = {"country": entry.country}
    if entry.cell is not None:
        place["lat"] = float(entry.cell[_CELL_LATITUDE])
        place["long"] = float(entry.cell[_CELL_LONGITUDE])
    return place
