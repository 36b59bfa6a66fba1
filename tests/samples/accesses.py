"""Standard access records, and the Kafka records that carry them."""

from typing import Any

from device_ledger.wire.access import DEVICE_LOOKED_UP, AccessRecord, encode, join
from projections.guard import KafkaRecord
from tests.samples import events

MERCHANT = "shop-1"


def looked_up(
    number: int, *, device: str | None = events.DEVICE, kind: str = DEVICE_LOOKED_UP, **data: Any
) -> AccessRecord:
    """The standard merchant looked the standard device up and found it, save for what is given."""
    told = {
        "outcome": "found",
        "requestId": f"request-{number}",
        "caller": "merchant",
        "actor": {"subject": MERCHANT, "client": "till"},
        "bankId": events.BANK,
        "merchantId": MERCHANT,
        "route": "/v1/customer/device/lookup",
    }
    said = {name: value for name, value in (told | data).items() if value is not None}
    ref = f"01943d2a-0000-7000-8000-{number:012}"
    return AccessRecord(ref, events.SOURCE, kind, device, events.at(number), said)


def flush(*records: AccessRecord) -> KafkaRecord:
    """The record that carries them all."""
    return KafkaRecord(0, 0, None, join([encode(record) for record in records]), ())
