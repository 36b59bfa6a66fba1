"""The standard public events, and a topic's worth of them: what the ledger would have sent."""

from collections.abc import Iterable
from typing import Any

import orjson

from device_ledger.wire import events
from device_ledger.wire.codec import PREV_HEADER, partition_of
from device_ledger.wire.events import PublicEvent
from projections.guard import KafkaRecord

SOURCE = "urn:device-ledger:5f0c5a52-0d3f-4f9c-9d4b-5d8a4f1f6c11:1"
BANK = "bank-a"
CUSTOMER = "Customer-1"
USER = "7f6e1a9c-0d0b-4a55-8c55-2d6a5d0c7a01"
DEVICE = "device-token-1"
REGISTRATION = "registration-1"
T0 = "2026-01-31T09:30:00.000Z"


def at(second: int) -> str:
    """That many seconds after ``T0``."""
    minutes, seconds = divmod(second, 60)
    return f"2026-01-31T{9 + (30 + minutes) // 60:02}:{(30 + minutes) % 60:02}:{seconds:02}.000Z"


def event(type_: str, id_: int, *, device: str = DEVICE, **data: Any) -> PublicEvent:
    """An event of the standard customer's standard device, save for what is given."""
    common = {
        "bankId": BANK,
        "customerId": CUSTOMER,
        "userId": USER,
        "registrationId": REGISTRATION,
        "actor": {"subject": "bank-service"},
        "requestId": f"request-{id_}",
        "commandAt": at(id_),
        "recordedAt": at(id_),
    }
    return PublicEvent(id_, SOURCE, type_, device, at(id_), common | data)


def registered(id_: int, **data: Any) -> PublicEvent:
    """The device was registered."""
    own: dict[str, Any] = {
        "keyGeneration": 1,
        "sealedDeviceId": "sealed-device",
        "registeredAt": at(id_),
    }
    return event(events.DEVICE_REGISTERED, id_, **own | data)


def linked(id_: int, **data: Any) -> PublicEvent:
    """The device was linked."""
    own: dict[str, Any] = {
        "keyGeneration": 1,
        "sealedDeviceId": "sealed-device",
        "phraseToken": "phrase-token-1",
        "sealedPhrase": "sealed-phrase",
        "linkedAt": at(id_),
    }
    return event(events.DEVICE_LINKED, id_, **own | data)


def unlinked(id_: int, **data: Any) -> PublicEvent:
    """The device's link ended."""
    return event(events.DEVICE_UNLINKED, id_, **{"unlinkedAt": at(id_)} | data)


def login_seen(id_: int, **data: Any) -> PublicEvent:
    """A login was seen that told nothing but its time, save for what is given."""
    own: dict[str, Any] = {"keyGeneration": 1, "seenAt": at(id_)}
    return event(events.DEVICE_LOGIN_SEEN, id_, **own | data)


def deactivated(id_: int, **data: Any) -> PublicEvent:
    """The device's registration ended."""
    return event(events.DEVICE_DEACTIVATED, id_, **{"deactivatedAt": at(id_)} | data)


def erased(id_: int, **data: Any) -> PublicEvent:
    """The registration is forgotten."""
    return event(events.DEVICE_ERASED, id_, **{"reason": "erasure"} | data)


def refused(id_: int, **data: Any) -> PublicEvent:
    """A command was refused."""
    own = {"command": "link", "code": "device-taken"}
    return event(events.COMMAND_REFUSED, id_, **own | data)


def history(devices: int, *, first_id: int = 1, bank: str = BANK) -> list[PublicEvent]:
    """A small life for each of many devices, interleaved, with gaps between the ids.

    Of four devices one is unlinked, one deactivated and one erased in the end.
    """
    told: list[PublicEvent] = []

    def tell(make: Any, number: int, **data: Any) -> None:
        id_ = first_id + len(told) + len(told) // 3
        who = {
            "device": f"device-token-{bank}-{number}",
            "bankId": bank,
            "customerId": f"Customer-{number % 7}",
            "userId": f"user-{bank}-{number % 7}",
            "registrationId": f"registration-{bank}-{number}",
        }
        told.append(make(id_, **who | data))

    for number in range(devices):
        tell(registered, number)
        tell(linked, number, phraseToken=f"phrase-{bank}-{number % 7}", linkedAt=at(number % 600))
    for number in range(devices):
        tell(login_seen, number, info={"model": f"Pixel {number % 5}", "brand": "Google"})
    for number in range(devices):
        if number % 4 < 3:
            tell((unlinked, deactivated, erased)[number % 4], number)
    return told


def value_of(told: PublicEvent) -> bytes:
    """An event as its record's value."""
    return orjson.dumps(
        {
            "id": str(told.id),
            "source": told.source,
            "type": told.type,
            "subject": told.subject,
            "time": told.time,
            "data": told.data,
        }
    )


def on_partitions(told: Iterable[PublicEvent], partitions: int) -> list[KafkaRecord]:
    """The records that the relay would send, each naming the one before it in its partition."""
    last = dict.fromkeys(range(partitions), 0)
    ends = dict.fromkeys(range(partitions), 0)
    records = []
    for one in told:
        partition = partition_of(one.subject, partitions)
        prev = str(last[partition]).encode()
        records.append(
            KafkaRecord(
                partition,
                ends[partition],
                one.subject.encode(),
                value_of(one),
                ((PREV_HEADER, prev),),
            )
        )
        last[partition] = one.id
        ends[partition] += 1
    return records
