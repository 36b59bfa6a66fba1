"""The names of all fields of our records: they may be told of one that can't be applied."""

from typing import Final

from device_ledger.wire import access, alerts, events

_KINDS: Final = (
    events.Actor,
    events.DeviceInfo,
    events.DeviceRegistered,
    events.DeviceLinked,
    events.DeviceUnlinked,
    events.DeviceLoginSeen,
    events.DeviceDeactivated,
    events.DeviceErased,
    events.CommandRefused,
    access.Access,
    alerts.Alert,
    alerts.Acknowledged,
    alerts.Late,
)

FIELD_NAMES: Final = frozenset(name for kind in _KINDS for name in kind.__annotations__)
