"""The writer thread on each store: one batch's ends, a full queue, a store that fails oddly."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from pydantic import SecretStr

from device_ledger.ledger.ledger import Ledger
from device_ledger.settings import Settings
from tests.conftest import AnyStore
from tests.samples.commands import (
    ANNA,
    another_customer,
    another_device,
    deactivate_all,
    link,
    receipt,
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
