"""Each event type has a golden file, written once and never edited.

A file holds the stored bytes of one event of every type and version that ever was. Today's code
reads all of them, and writes those of its own versions to the byte.
"""

from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent

from device_ledger.domain.claim import ClaimReleased, ClaimTaken
from device_ledger.domain.customer.command import Context
from device_ledger.domain.customer.events import (
    CommandRefused,
    DeviceDeactivated,
    DeviceErased,
    DeviceLinked,
    DeviceRegistered,
    DeviceUnlinked,
    ErasureOrdered,
    LoginSeen,
)
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.domain.restored import LedgerRestored
from device_ledger.ledger.records import Fact, FactMapper, Origin, Recorded, upcast
from device_ledger.wire.codec import decode, partition_of, public_bytes
from device_ledger.wire.events import EVENT_TYPES, PublicEvent

GOLDEN = Path(__file__).parent / "golden"
MAPPER = FactMapper("urn:device-ledger:00000000-0000-4000-8000-000000000000:1")
AGGREGATE = UUID("00000000-0000-4000-8000-0000000000aa")
TOKEN = "4GdT1Gdd3xtkJ6nTdoKkJ1GdTkJ6nTdoKkJ1GdTkJ6n"
REGISTRATION = "11111111-2222-4333-8444-555555555555"
ORIGIN = Origin(
    CustomerRef("bank-a", "22222222-2222-4222-8222-222222222222", "customer-1"),
    Context("bank-a-backend", "core", "req-1", "2026-01-31T09:30:00.000Z"),
    "2026-01-31T09:30:00.005Z",
)
INFO = {"brand": "Apple", "model": "iPhone", "os": "iOS", "osVersion": "19.1"}

FACTS: dict[str, Fact] = {
    "device.registered.v1": DeviceRegistered(
        TOKEN, REGISTRATION, 1, "c2VhbGVkLWRldmljZQ", "2026-01-31T09:30:00.000Z"
    ),
    "device.linked.v1": DeviceLinked(
        TOKEN,
        REGISTRATION,
        1,
        "c2VhbGVkLWRldmljZQ",
        "phrase-token",
        "c2VhbGVkLXBocmFzZQ",
        "2026-01-31T09:30:00.000Z",
        INFO,
    ),
    "device.unlinked.v1": DeviceUnlinked(TOKEN, REGISTRATION, "2026-01-31T09:30:00.000Z"),
    "device.login_seen.v1": LoginSeen(
        TOKEN,
        REGISTRATION,
        1,
        "2026-01-31T09:29:00.000Z",
        "Mobile",
        INFO,
        "name-token",
        "c2VhbGVkLW5hbWU",
        "address-token",
        "c2VhbGVkLWFkZHJlc3M",
    ),
    "device.deactivated.v1": DeviceDeactivated(TOKEN, REGISTRATION, "2026-01-31T09:30:00.000Z"),
    "device.erased.v1": DeviceErased(TOKEN, REGISTRATION, "retention"),
    "command.refused.v1": CommandRefused(TOKEN, "link", "device-taken"),
    "ledger.restored.v1": LedgerRestored(TOKEN, 2, "1099", "restored from a copy"),
    "erasure.ordered.v1": ErasureOrdered(2, 3, "request 17", "customer"),
    "claim.taken.v1": ClaimTaken(AGGREGATE, UUID("00000000-0000-4000-8000-0000000000bb")),
    "claim.released.v1": ClaimReleased(AGGREGATE),
}


def stored(topic: str) -> StoredEvent:
    return StoredEvent(AGGREGATE, 7, topic, (GOLDEN / f"{topic}.json").read_bytes())


def test_every_type_has_its_golden_file() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == FACTS.keys()
    assert set(EVENT_TYPES) < FACTS.keys()


@pytest.mark.parametrize("path", sorted(GOLDEN.iterdir()), ids=lambda path: path.stem)
def test_history_is_read_by_todays_code(path: Path) -> None:
    recorded = MAPPER.to_domain_event(stored(path.stem))
    origin = None if path.stem.startswith("claim.") else ORIGIN
    assert recorded == Recorded(AGGREGATE, 7, FACTS[path.stem], origin)


@pytest.mark.parametrize("topic", sorted(FACTS))
def test_what_is_written_today_is_written_to_the_byte(topic: str) -> None:
    written = MAPPER.to_stored_event(Recorded(AGGREGATE, 7, FACTS[topic], ORIGIN))
    assert written == stored(topic)


@pytest.mark.parametrize("topic", EVENT_TYPES)
def test_the_public_event_is_the_stored_one_with_its_id(topic: str) -> None:
    value = public_bytes(1234, stored(topic).state)
    assert value == b'{"id":"1234",' + stored(topic).state[1:]
    event = decode(value)
    assert event == PublicEvent(1234, MAPPER.source, topic, TOKEN, ORIGIN.recorded_at, event.data)
    assert event.data["bankId"] == "bank-a"


def test_an_old_type_is_brought_to_todays_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = {
        "device.seen.v1": ("device.seen.v2", lambda data: {**data, "two": 2}),
        "device.seen.v2": ("device.login_seen.v1", lambda data: {**data, "three": 3}),
    }
    monkeypatch.setattr("device_ledger.ledger.records.UPCASTS", steps)
    assert upcast("device.seen.v1", {}) == ("device.login_seen.v1", {"two": 2, "three": 3})


# Of the tests of Kafka's own Utils.murmur2: what other clients compute for these keys.
KAFKAS_OWN = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}


@pytest.mark.parametrize("key", KAFKAS_OWN)
def test_a_key_has_the_partition_that_kafkas_own_clients_give_it(key: str) -> None:
    positive = KAFKAS_OWN[key] & 0x7FFFFFFF
    assert [partition_of(key, count) for count in (1, 8, 12)] == [0, positive % 8, positive % 12]
