"""What the tokens of entries stand for, for a lead who gave a reason.

Sealed values are taken from the events themselves, by the customer's key: the entry's own event,
and for its device's ID an event of the same bank and user that carries it. After an erasure
nothing of that customer can be opened, also where another has the device since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from api.reads import Opener
from api.services import Services
from device_ledger.ledger.records import upcast
from device_ledger.wire.events import DEVICE_LINKED, DEVICE_REGISTERED
from device_ledger.wire.trail import EVENTS_LOG, Entry
from projections.threads import finish_in_thread
from projections.trail.queries import TrailFilter, search

_SEALED: Final = {
    "deviceId": "sealedDeviceId",
    "phrase": "sealedPhrase",
    "deviceName": "sealedName",
    "ipAddress": "sealedAddress",
}

_Device = tuple[str, str, str | None]


@dataclass(frozen=True, slots=True)
class _Sealed:
    """The sealed values of an event."""

    bank_id: str
    user_id: str
    key_generation: int
    values: Mapping[str, str]


async def reveal(services: Services, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """For each entry what it names, null and with ``erased`` where the key is gone.

    Raises:
        NotReadyError: the trail can't be read.
        VaultStoreError: the vault is away.
    """
    own = await _sealed(services, [one.ref for one in entries if one.log == EVENTS_LOG])
    devices = [_device(services, one) for one in entries]
    carriers = {one: await _carrier(services, one) for one in {*devices} if one is not None}
    carrying = await _sealed(services, [ref for ref in carriers.values() if ref is not None])
    opener = await Opener.of(services, [*own.values(), *carrying.values()])
    found = []
    for entry, device in zip(entries, devices, strict=True):
        values = _opened(opener, own.get(entry.ref))
        if "deviceId" not in values and device is not None:
            carrier = _opened(opener, carrying.get(carriers[device] or ""))
            values |= {name: carrier[name] for name in ("deviceId", "erased") if name in carrier}
        found.append(values)
    return found


def _device(services: Services, entry: Entry) -> _Device | None:
    """The device that an entry is about, at which bank, and of which user where it says so."""
    if entry.device_token is None or entry.bank_id is None:
        return None
    user_id = entry.user_id
    if user_id is None and entry.customer_id is not None:
        user_id = services.tokens.user_id(entry.bank_id, entry.customer_id)
    return entry.device_token, entry.bank_id, user_id


async def _carrier(services: Services, device: _Device) -> str | None:
    """The reference of the newest event of that bank and user that carries the device's ID."""
    token, bank_id, user_id = device
    wanted = TrailFilter(
        device_token=token,
        bank_id=bank_id,
        user_id=user_id,
        types=(DEVICE_REGISTERED, DEVICE_LINKED),
    )
    found = (await search(services.models, wanted, limit=1)).value.entries
    return found[0].ref if found else None


async def _sealed(services: Services, refs: Sequence[str]) -> dict[str, _Sealed]:
    """What the events of these references carry sealed; those that carry nothing are left out."""
    store = services.ledger.events.store

    def read() -> dict[str, _Sealed]:
        found = {}
        for ref in refs:
            [event] = store.select_notifications(int(ref), 1, inclusive_of_start=True)
            _, data = upcast(event.topic, orjson.loads(event.state)["data"])
            values = {field: data[name] for field, name in _SEALED.items() if name in data}
            if values:
                found[ref] = _Sealed(data["bankId"], data["userId"], data["keyGeneration"], values)
        return found

    return await finish_in_thread(read)


def _opened(opener: Opener, sealed: _Sealed | None) -> dict[str, Any]:
    if sealed is None:
        return {}
    if not opener.can_open(sealed):
        return {**dict.fromkeys(sealed.values), "erased": True}
    return {field: opener.open(sealed, field, value) for field, value in sealed.values.items()}
