"""A made-up history: real bytes, ordinary life that is possible, and labels that are true."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from eventsourcing.persistence import StoredEvent

from device_ledger.domain.claim import claim_id
from device_ledger.ledger.records import FactMapper
from device_ledger.simulation.attacks import ATTACKS
from device_ledger.simulation.everyday import Everyday, Phase, distance_km
from device_ledger.simulation.history import busy_day, lines_of
from device_ledger.simulation.lookalikes import LOOKALIKES
from device_ledger.simulation.population import Place, Population
from device_ledger.simulation.scribe import Line, Scribe
from device_ledger.simulation.story import Label, Story
from device_ledger.wire import access
from device_ledger.wire.codec import decode, partition_of
from device_ledger.wire.trail import Entry, entry_of_access, entry_of_event

START = datetime(2026, 1, 5, tzinfo=UTC)
PEOPLE = Population(7, 3, 500, 40)


def story() -> Story:
    """Four months of a few customers, a day of all, and one scene of each kind."""
    phases = busy_day(START, quiet_days=120, quiet_entries=800, entries=2500, lookup_share=0.4)
    return Story(PEOPLE, phases, 1)


def told(of: Story) -> list[Line]:
    """All lines of a story."""
    return list(lines_of(of, Scribe(7), 0.4))


@pytest.fixture(scope="module")
def history() -> tuple[list[Line], list[Label]]:
    """The standard story's lines and labels."""
    made = story()
    return told(made), made.labels


def entries(lines: list[Line]) -> Iterator[Entry]:
    """The lines as readers see them."""
    for line in lines:
        if line.log == "events":
            yield entry_of_event(decode(line.value))
        else:
            yield entry_of_access(access.decode(line.value))


def test_the_same_seed_gives_the_same_bytes(history: tuple[list[Line], list[Label]]) -> None:
    again = hashlib.sha256(b"\n".join(line.value for line in told(story()))).digest()
    assert again == hashlib.sha256(b"\n".join(line.value for line in history[0])).digest()


def test_every_line_is_where_and_when_it_says(history: tuple[list[Line], list[Label]]) -> None:
    lines, _ = history
    for line, entry in zip(lines, entries(lines), strict=True):
        assert (entry.ref, entry.log, entry.at) == (line.ref, line.log, line.at)
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    ids = [int(line.ref) for line in lines if line.log == "events"]
    assert ids == sorted(set(ids))


def test_every_event_names_the_one_before_it_in_its_partition(
    history: tuple[list[Line], list[Label]],
) -> None:
    last: dict[int, int] = {}
    ends: dict[int, int] = {}
    for line in history[0]:
        if line.log == "events":
            assert line.partition == partition_of(line.key, 8)
            assert (line.prev, line.offset) == (
                last.get(line.partition, 0),
                ends.get(line.partition, 0),
            )
            last[line.partition], ends[line.partition] = int(line.ref), line.offset + 1


def test_the_ledger_reads_every_event_as_its_own(history: tuple[list[Line], list[Label]]) -> None:
    for line in history[0]:
        if line.log == "events":
            body = orjson.loads(line.value)
            del body["id"]
            stored = StoredEvent(claim_id("device", "any"), 1, body["type"], orjson.dumps(body))
            mapper = FactMapper(body["source"])
            written = mapper.to_stored_event(mapper.to_domain_event(stored))
            assert written.state == stored.state


def test_no_device_is_ever_linked_to_two(history: tuple[list[Line], list[Label]]) -> None:
    holders: dict[str, str] = {}
    for entry in entries(history[0]):
        if entry.type == "device.linked.v1":
            assert entry.device_token is not None
            assert entry.user_id is not None
            assert holders.setdefault(entry.device_token, entry.user_id) == entry.user_id
        if entry.type == "device.unlinked.v1":
            assert holders.pop(entry.device_token or "") == entry.user_id


def test_a_lookup_is_found_as_long_as_the_device_is_linked(
    history: tuple[list[Line], list[Label]],
) -> None:
    linked: set[str | None] = set()
    for entry in entries(history[0]):
        match entry.type:
            case "device.linked.v1":
                linked.add(entry.device_token)
            case "device.unlinked.v1":
                linked.discard(entry.device_token)
            case "device.looked_up.v1":
                assert entry.outcome == ("found" if entry.device_token in linked else "not-found")


def test_nobody_travels_faster_than_an_aeroplane() -> None:
    phases = [Phase(START, 60, 12_000, 150)]
    last: dict[str, tuple[datetime, Place]] = {}
    journeys = 0
    for call in Everyday(PEOPLE, phases).calls(0):
        if call.login is None:
            continue
        customer, place = f"{call.caller}/{call.body['customerId']}", call.login.place
        at, before = last.get(customer, (call.at, place))
        hours = (call.at - at) / timedelta(hours=1)
        assert distance_km(before, place) <= 500 * hours
        journeys += before != place
        last[customer] = (call.at, place)
    assert journeys > 20


def test_each_kind_of_scene_is_played_and_its_label_names_its_lines(
    history: tuple[list[Line], list[Label]],
) -> None:
    lines, labels = history
    assert [label.kind for label in labels] == [kind.name for kind in (*ATTACKS, *LOOKALIKES)]
    at = {line.ref: line.at for line in lines}
    for label in labels:
        assert label.refs
        assert (label.first_at, label.last_at) == (at[label.refs[0]], at[label.refs[-1]])
        assert set(label.refs) <= at.keys()


def test_scenes_have_customers_of_their_own(history: tuple[list[Line], list[Label]]) -> None:
    cast = [customer for label in history[1] for customer in label.customers]
    assert len(cast) == len(set(cast))


def test_what_takes_its_real_time_is_left_out_where_time_runs_fast() -> None:
    made = Story(PEOPLE, [Phase(START, 2, 100, 50)], 1, over_http=True)
    assert {kind.name for kind in made.left_out} == {
        "out-of-the-blue",
        "stolen-session",
        "dormant",
        "tampering",
        "holiday-with-a-new-phone",
        "old-tablet",
    }
