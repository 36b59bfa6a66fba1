"""An archive of a short history, as the detector would have written it."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from device_ledger.wire import access
from device_ledger.wire.access import AccessRecord, encode
from device_ledger.wire.events import PublicEvent
from projections.archive.layout import archive_of
from projections.archive.make import write_archive
from projections.export.source import Source, open_source
from tests.samples import events

ACCESSES = [
    AccessRecord(
        f"019ab0de-0b7e-7a39-9d5b-2f9f6f5c7a4{number}",
        events.SOURCE,
        access.DEVICE_LOOKED_UP,
        events.DEVICE,
        events.at(second),
        {"outcome": outcome, "requestId": f"request-{second}", "merchantId": "shop-1"},
    )
    for number, (second, outcome) in enumerate([(2, "found"), (4000, "not-found")])
]
EVENTS = [
    events.registered(1),
    events.linked(2),
    events.linked(3, bankId="bank-b", customerId="other", userId="user-b"),
    events.login_seen(4, nameToken="-1+1", sealedName="sealed-name", cell="+52.25+013.25"),
    events.deactivated(7200),
]
ORDER = ["1", ACCESSES[0].id, "2", "3", "4", ACCESSES[1].id, "7200"]
"""References in the order of (at, seq, ref)."""


def exact(event: PublicEvent) -> bytes:
    """An event's bytes."""
    body = {
        "id": str(event.id),
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time,
        "data": event.data,
    }
    return orjson.dumps(body)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an archive."""
    lines = [encode(one) for one in ACCESSES]
    write_archive(archive_of(tmp_path), [exact(one) for one in EVENTS], lines, partitions=2)
    return tmp_path


@pytest.fixture
def source(home: Path) -> Iterator[Source]:
    """What is exported from it."""
    with open_source(archive_of(home), spill=home / "spill") as source:
        yield source
