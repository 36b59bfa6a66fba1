"""The writer thread on each store: one batch's ends, a full queue, a store that fails oddly."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any
from unittest import mock

import pytest
from eventsourcing.persistence import StoredEvent
from pydantic import SecretStr

from device_ledger.domain.customer.state import Customer, CustomerRef, Registration
from device_ledger.ledger import group_commit
from device_ledger.ledger.group_commit import OverloadedError
from device_ledger.ledger.ledger import Ledger
from device_ledger.ledger.receipts import Answer, StoredReceipt
from device_ledger.ledger.stores import CUSTOMER_SNAPSHOT, PURGE_MAX, ConflictError, Unit
from device_ledger.settings import Settings
from tests.conftest import AnyStore
from tests.samples.commands import (
    ANNA,
    LATER,
    NOW,
    another_customer,
    another_device,
    deactivate_all,
    link,
    receipt,
    unlink,
)

WAIT_SECONDS = 60


@pytest.fixture
def ledger(any_store: AnyStore) -> Iterator[Ledger]:
    settings = Settings(home=any_store.home, event_store_url=SecretStr(any_store.url))
    ledger = Ledger.open(settings)
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def held(ledger: Ledger) -> Iterator[None]:
    """Hold the writer at its next read, so that commands gather behind it."""
    go_on, reading, load = threading.Event(), threading.Event(), ledger.events.store.load

    def wait_and_load(originators: Any) -> Any:
        reading.set()
        go_on.wait(WAIT_SECONDS)
        return load(originators)

    with mock.patch.object(ledger.events.store, "load", wait_and_load):
        first = ledger.submit(link(another_customer(), another_device(), "held"), receipt())
        try:
            reading.wait(WAIT_SECONDS)
            yield
        finally:
            go_on.set()
        first.result(WAIT_SECONDS)


def test_a_users_command_in_the_batch_does_not_take_the_customer_id_away(ledger: Ledger) -> None:
    with held(ledger):
        linked = ledger.submit(link(), receipt())
        removed = ledger.submit(deactivate_all(replace(ANNA, customer_id=None)), receipt())
    assert [one.result(WAIT_SECONDS).status for one in (linked, removed)] == ["done", "done"]
    stored = ledger.events.store.select_notifications(1, 100)
    facts = [ledger.events.facts.to_domain_event(one) for one in stored]
    annas = [one.origin.customer for one in facts if one.originator_id == ANNA.aggregate_id]
    assert annas == [ANNA] * 4


def test_who_submits_while_it_closes_gets_an_answer_or_is_refused_at_once(
    any_store: AnyStore,
) -> None:
    settings = Settings(home=any_store.home, event_store_url=SecretStr(any_store.url))
    futures: list[Future[Answer]] = []
    with mock.patch.object(group_commit, "WAITING_MAX", 2):
        ledger = Ledger.open(settings)
    refused = threading.Barrier(9)

    def submit_until_closed() -> None:
        while not closed.is_set():
            try:
                futures.append(ledger.submit(unlink(), receipt()))
            except OverloadedError:
                continue
        refused.wait(WAIT_SECONDS)

    closed = threading.Event()
    threads = [threading.Thread(target=submit_until_closed, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    closing = threading.Thread(target=ledger.close, daemon=True)
    closing.start()
    closing.join(WAIT_SECONDS)
    closed.set()
    refused.wait(WAIT_SECONDS)
    assert not closing.is_alive()
    assert {one.done() for one in futures} <= {True}
    with pytest.raises(OverloadedError):
        ledger.submit(link(), receipt())


def test_a_snapshot_that_fails_for_whatever_reason_does_not_end_the_writer(
    ledger: Ledger,
) -> None:
    store, append, conflicts = ledger.events.store, ledger.events.store.append, iter([True] * 3)

    def conflict_then_append(unit: Unit) -> dict[int, int]:
        if next(conflicts, False):
            raise ConflictError
        return append(unit)

    with (
        mock.patch("device_ledger.ledger.aggregates.SNAPSHOT_INTERVAL", 1),
        mock.patch.object(store, "add_snapshots", side_effect=RuntimeError),
        mock.patch.object(store, "append", conflict_then_append),
    ):
        first = ledger.submit(link(), receipt()).result(WAIT_SECONDS)
        second = ledger.submit(unlink(), receipt()).result(WAIT_SECONDS)
    assert [first.status, second.status] == ["done", "done"]


def test_deleting_receipts_keeps_pace_with_the_commands(ledger: Ledger) -> None:
    store = ledger.events.store
    old = [StoredReceipt(f"old-{number}", "", b"", NOW) for number in range(2 * PURGE_MAX + 1)]
    store.append(Unit({}, receipts=old, now=NOW))
    ledger._commit._purge_at = 0
    for _ in range(4):
        ledger.submit(unlink(), receipt()).result(WAIT_SECONDS)
    assert store.purge_receipts(LATER) == 0


def test_a_snapshot_of_another_format_goes_unread(ledger: Ledger) -> None:
    ledger.submit(link(), receipt()).result(WAIT_SECONDS)
    old = StoredEvent(ANNA.aggregate_id, 2, "customer.snapshot.v0", b'{"other": "fields"}')
    ledger.events.store.add_snapshots([old])
    assert ledger.submit(unlink(), receipt()).result(WAIT_SECONDS).status == "done"


def test_a_snapshots_format_has_these_fields_or_another_name() -> None:
    names = [[one.name for one in fields(kind)] for kind in (Customer, CustomerRef, Registration)]
    assert (CUSTOMER_SNAPSHOT, names) == (
        "customer.snapshot.v2",
        [
            ["ref", "key_generation", "erased_generation", "phrase_token", "devices"],
            ["bank_id", "user_id", "customer_id"],
            [
                "registration_id",
                "registered_at",
                "linked_at",
                "deleted_at",
                "last_seen_at",
                "device_type",
                "info",
                "name_token",
                "address_token",
            ],
        ],
    )
