"""The ledger on each store: what is answered is durable, and nothing rests on what has moved."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from eventsourcing.persistence import OperationalError
from pydantic import SecretStr

from device_ledger.domain.customer.state import CustomerRef
from device_ledger.ledger.aggregates import SNAPSHOT_INTERVAL, Aggregates
from device_ledger.ledger.attempt import Attempt
from device_ledger.ledger.group_commit import BATCH_MAX
from device_ledger.ledger.ledger import EventStore, Ledger, utc_now
from device_ledger.ledger.receipts import Answer, Receipt
from device_ledger.ledger.stores import ConflictError, StoreRefusedError, Stream, Unit
from device_ledger.settings import Settings
from device_ledger.wire.codec import partition_of
from tests.conftest import AnyStore
from tests.samples.commands import (
    ANNA,
    BERT,
    IPHONE,
    LATER,
    NOW,
    TABLET,
    another_customer,
    another_device,
    deactivate_all,
    link,
    login,
    receipt,
    unlink,
)

WAIT_SECONDS = 60


@pytest.fixture
def settings(any_store: AnyStore) -> Settings:
    return Settings(home=any_store.home, event_store_url=SecretStr(any_store.url))


@contextmanager
def opened(settings: Settings, **kwargs: Any) -> Iterator[Ledger]:
    ledger = Ledger.open(settings, **kwargs)
    try:
        yield ledger
    finally:
        ledger.close()


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    with opened(settings) as ledger:
        yield ledger


def answered(future: "Future[Answer]") -> Answer:
    return future.result(WAIT_SECONDS)


def topics(ledger: Ledger) -> list[str]:
    return [one.topic for one in ledger.events.store.select_notifications(1, 10_000)]


@contextmanager
def held(ledger: Ledger) -> Iterator[None]:
    """Hold the writer at its next read, so that commands gather behind it."""
    go_on, load = threading.Event(), ledger.events.store.load

    def wait_and_load(originators: Any) -> Any:
        go_on.wait(WAIT_SECONDS)
        return load(originators)

    with mock.patch.object(ledger.events.store, "load", wait_and_load):
        try:
            yield
        finally:
            go_on.set()


def test_what_was_answered_is_there_after_opening_again(settings: Settings) -> None:
    with opened(settings) as ledger:
        first = answered(ledger.submit(link(), receipt()))
    with opened(settings) as ledger:
        again = answered(ledger.submit(link(), receipt()))
        other = answered(ledger.submit(link(BERT), receipt()))
    assert (first.status, again, other.code) == ("done", first, "device-taken")


def test_a_link_writes_its_events_and_claims_in_order(ledger: Ledger) -> None:
    answered(ledger.submit(link(), receipt()))
    assert topics(ledger) == [
        "device.registered.v1",
        "device.linked.v1",
        "claim.taken.v1",
        "claim.taken.v1",
    ]


def test_a_refusal_is_one_event_of_its_own(ledger: Ledger) -> None:
    refused = answered(ledger.submit(unlink(), receipt()))
    assert (refused.status, refused.code) == ("refused", "not-linked")
    assert topics(ledger) == ["command.refused.v1"]


def test_the_position_is_the_last_id_of_each_partition(ledger: Ledger) -> None:
    answered(ledger.submit(link(), receipt()))
    answer = answered(ledger.submit(link(device=TABLET), receipt()))
    partitions = ledger.identity.partitions
    expected: dict[int, int] = {}
    for one in ledger.events.store.select_notifications(1, 100):
        recorded = ledger.events.facts.to_domain_event(one)
        if recorded.subject is not None:
            expected[partition_of(recorded.subject, partitions)] = one.id
    assert answer.position == expected == ledger.heads()


def test_the_same_key_and_body_gets_the_first_answer_and_writes_nothing(ledger: Ledger) -> None:
    first = answered(ledger.submit(unlink(), receipt("k")))
    answered(ledger.submit(link(), receipt()))
    before = topics(ledger)
    again = answered(ledger.submit(unlink(), receipt("k")))
    assert (again.status, again.code) == (first.status, first.code) == ("refused", "not-linked")
    assert topics(ledger) == before


def test_the_same_key_with_another_body_is_told_apart(ledger: Ledger) -> None:
    answered(ledger.submit(link(), receipt("k", "one")))
    assert answered(ledger.submit(unlink(), receipt("k", "two"))).code == "key-reused"
    assert answered(ledger.submit(unlink(), receipt())).status == "done"


def test_a_key_with_a_command_that_changes_nothing_is_kept_too(ledger: Ledger) -> None:
    answered(ledger.submit(link(), receipt()))
    noop = answered(ledger.submit(link(), receipt("k")))
    answered(ledger.submit(unlink(), receipt()))
    assert answered(ledger.submit(link(), receipt("k"))).details == noop.details
    assert answered(ledger.submit(unlink(), receipt())).code == "not-linked"


def test_two_at_once_with_one_key_get_one_decision(ledger: Ledger) -> None:
    with held(ledger):
        both = [ledger.submit(unlink(), receipt("k")) for _ in range(2)]
    assert [answered(one).code for one in both] == ["not-linked"] * 2
    assert topics(ledger) == ["command.refused.v1"]


def test_a_key_is_free_again_after_a_day(settings: Settings) -> None:
    with opened(settings, now=lambda: NOW) as ledger:
        answered(ledger.submit(unlink(), receipt("k")))
    with opened(settings, now=lambda: "2026-02-01T09:29:59.999Z") as ledger:
        answered(ledger.submit(link(), receipt()))
        assert answered(ledger.submit(unlink(), receipt("k"))).code == "not-linked"
    with opened(settings, now=lambda: "2026-02-01T09:30:00.000Z") as ledger:
        assert answered(ledger.submit(unlink(), receipt("k", "other body"))).status == "done"


def test_expired_receipts_are_deleted(settings: Settings) -> None:
    with opened(settings, now=lambda: NOW) as ledger:
        answered(ledger.submit(link(), receipt("k")))
        store = ledger.events.store
        assert store.purge_receipts(LATER) == 0
        assert store.purge_receipts("2026-02-01T09:30:00.000Z") == 1


def test_256_waiting_commands_make_at_most_4_transactions(ledger: Ledger) -> None:
    appended = mock.Mock(wraps=ledger.events.store.append)
    with mock.patch.object(ledger.events.store, "append", appended):
        with held(ledger):
            futures = [
                ledger.submit(link(another_customer(), another_device(), str(number)), receipt())
                for number in range(BATCH_MAX)
            ]
        assert {answered(one).status for one in futures} == {"done"}
    assert appended.call_count <= 4


def test_commands_of_one_batch_see_each_other(ledger: Ledger) -> None:
    with held(ledger):
        futures = [
            ledger.submit(link(), receipt()),
            ledger.submit(link(BERT, phrase="green"), receipt()),
            ledger.submit(unlink(), receipt()),
            ledger.submit(link(BERT, phrase="green"), receipt()),
            ledger.submit(deactivate_all(BERT), receipt()),
            ledger.submit(link(), receipt()),
        ]
    assert [answered(one).code for one in futures] == ["", "device-taken", "", "", "", ""]


def conflicting(ledger: Ledger, times: int, command_of: CustomerRef) -> Any:
    """Let the store find a conflict whenever a unit rests on this customer, so many times."""
    append, numbers = ledger.events.store.append, count()

    def append_or_not(unit: Unit) -> dict[int, int]:
        if command_of.aggregate_id in unit.read and next(numbers) < times:
            raise ConflictError
        return append(unit)

    return mock.patch.object(ledger.events.store, "append", append_or_not)


@pytest.mark.parametrize("times", [1, 2, 3, 7])
def test_a_command_that_conflicts_never_changes_its_neighbours_answers(
    ledger: Ledger, times: int
) -> None:
    with conflicting(ledger, times, ANNA):
        with held(ledger):
            futures = [ledger.submit(link(), receipt())] + [
                ledger.submit(link(another_customer(), another_device(), str(number)), receipt())
                for number in range(19)
            ]
        assert [answered(one).status for one in futures] == ["done"] * 20
    assert topics(ledger).count("device.linked.v1") == 20


def overtaken_by(ledger: Ledger, command: Any, by: Receipt | None = None) -> Any:
    """Commit another command between the next decision and its commit, as another process may."""
    events, append, overtaken = ledger.events, ledger.events.store.append, threading.Event()

    def overtake_and_append(unit: Unit) -> dict[int, int]:
        if not overtaken.is_set():
            overtaken.set()
            other = Attempt(events.store, events.facts, events.identity, utc_now())
            other.decide([(command, by or receipt())], retry=False)
            other.append()
        return append(unit)

    return mock.patch.object(events.store, "append", overtake_and_append)


def test_a_link_that_was_overtaken_is_decided_again(ledger: Ledger) -> None:
    with overtaken_by(ledger, link(BERT)):
        assert answered(ledger.submit(link(), receipt())).code == "device-taken"


def test_a_refusal_that_was_overtaken_is_decided_again(ledger: Ledger) -> None:
    answered(ledger.submit(link(BERT), receipt()))
    with overtaken_by(ledger, unlink(BERT)):
        assert answered(ledger.submit(link(), receipt())).status == "done"
    assert "command.refused.v1" not in topics(ledger)


def test_a_command_that_changes_nothing_and_was_overtaken_is_decided_again(ledger: Ledger) -> None:
    answered(ledger.submit(link(), receipt()))
    with overtaken_by(ledger, unlink()):
        answered(ledger.submit(link(), receipt()))
    assert topics(ledger).count("device.linked.v1") == 2


def test_a_key_that_another_process_used_meanwhile_gets_that_answer(ledger: Ledger) -> None:
    key = receipt("k")
    with overtaken_by(ledger, unlink(), key):
        assert answered(ledger.submit(unlink(), key)).code == "not-linked"
    assert topics(ledger) == ["command.refused.v1"]


def lost_reply(ledger: Ledger, committed: bool) -> Any:
    """Lose the connection at the first commit, before or after it took effect."""
    append, lost = ledger.events.store.append, threading.Event()

    def append_and_lose(unit: Unit) -> dict[int, int]:
        if lost.is_set():
            return append(unit)
        lost.set()
        if committed:
            append(unit)
        raise OperationalError("connection lost")

    return mock.patch.object(ledger.events.store, "append", append_and_lose)


@pytest.mark.parametrize("committed", [False, True])
def test_a_lost_connection_at_the_commit_gives_the_answer_that_the_store_holds(
    ledger: Ledger,
    committed: bool,
) -> None:
    with lost_reply(ledger, committed), held(ledger):
        futures = [
            ledger.submit(link(), receipt()),
            ledger.submit(link(BERT), receipt()),
            ledger.submit(unlink(), receipt("k")),
            ledger.submit(login(BERT, TABLET), receipt()),
        ]
    assert [answered(one).code for one in futures] == ["", "device-taken", "", ""]
    assert topics(ledger).count("device.linked.v1") == 1
    assert topics(ledger).count("command.refused.v1") == 1


def test_a_command_that_can_not_be_decided_fails_alone(ledger: Ledger) -> None:
    broken = link(another_customer(), another_device(), "red")
    object.__setattr__(broken, "max_active_devices", None)
    with held(ledger):
        futures = [
            ledger.submit(link(), receipt()),
            ledger.submit(broken, receipt()),
            ledger.submit(link(device=TABLET), receipt()),
        ]
    assert isinstance(futures[1].exception(WAIT_SECONDS), TypeError)
    assert [answered(futures[0]).status, answered(futures[2]).status] == ["done", "done"]


def test_a_caller_who_has_gone_does_not_disturb_the_writer(ledger: Ledger) -> None:
    with held(ledger):
        futures = [ledger.submit(link(), receipt()) for _ in range(3)]
        assert [one.cancel() for one in futures] == [False] * 3
    assert {answered(one).status for one in futures} == {"done"}
    assert answered(ledger.submit(unlink(), receipt())).status == "done"


def test_snapshots_are_taken_and_load_to_the_same_customer(ledger: Ledger) -> None:
    answered(ledger.submit(link(), receipt()))
    for number in range(SNAPSHOT_INTERVAL):
        at = f"2026-02-01T00:{number // 60:02}:{number % 60:02}.000Z"
        answered(ledger.submit(login(seen_at=at, info=IPHONE, name_token="n"), receipt()))
    store = ledger.events.store
    stream = store.load([ANNA.aggregate_id])[ANNA.aggregate_id]
    assert stream.snapshot is not None
    assert len(stream.events) < SNAPSHOT_INTERVAL
    with_snapshot = Aggregates(store, ledger.events.facts)
    with_snapshot.load([ANNA], [])
    whole = Aggregates(store, ledger.events.facts)
    with mock.patch.object(store, "load", lambda ids: unsnapshot(ledger, ids)):
        whole.load([ANNA], [])
    assert with_snapshot.customer(ANNA) == whole.customer(ANNA)
    assert with_snapshot.read == whole.read


def unsnapshot(ledger: Ledger, ids: Any) -> dict[Any, Stream]:
    recorder = ledger.events.recorder
    return {one: Stream(None, list(recorder.select_events(one))) for one in ids}


def test_many_threads_and_one_device_make_one_winner(ledger: Ledger) -> None:
    futures: list[Future[Answer]] = []

    def race() -> None:
        futures.extend(ledger.submit(link(another_customer()), receipt()) for _ in range(20))

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answered(one).status for one in futures) == ["done"] + ["refused"] * 159


def test_the_partitions_and_the_identity_are_fixed_at_the_first_start(settings: Settings) -> None:
    with opened(settings) as ledger:
        first = ledger.identity
    other = settings.model_copy(update={"partitions": 3})
    with opened(other) as ledger:
        assert ledger.identity == first


@pytest.mark.parametrize("prefix", ["", "DEVICE_LEDGER_"])
def test_functions_that_drop_the_order_of_ids_are_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv(f"{prefix}POSTGRES_ENABLE_DB_FUNCTIONS", "y")
    with pytest.raises(StoreRefusedError, match="order of commits"):
        EventStore.open(settings)


def test_the_whole_url_of_the_store_is_heeded(postgres_database: str, tmp_path: Path) -> None:
    url = f"{postgres_database}?application_name=of-the-url"
    events = EventStore.open(Settings(home=tmp_path, event_store_url=SecretStr(url)))
    try:
        with events.recorder.datastore.transaction() as cursor:  # type: ignore[attr-defined]
            cursor.execute("SELECT current_setting('application_name') AS name")
            assert cursor.fetchone()["name"].startswith("of-the-url ")
    finally:
        events.close()


def test_a_second_writer_on_sqlite_is_refused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with opened(settings), pytest.raises(StoreRefusedError, match="another process writes"):
        Ledger.open(settings)
