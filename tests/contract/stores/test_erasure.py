"""An erasure on each store: what it has given up is never used again, and its keys are deleted."""

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from pydantic import SecretStr

from device_ledger.domain.customer.command import Device
from device_ledger.domain.customer.events import ErasureOrdered
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.erasure import complete, finish
from device_ledger.ledger.aggregates import SNAPSHOT_INTERVAL
from device_ledger.ledger.attempt import Attempt
from device_ledger.ledger.erasures import Erasure, erasure_of, pages_of_erasures
from device_ledger.ledger.ledger import Ledger
from device_ledger.ledger.receipts import Answer
from device_ledger.ledger.stores import Unit
from device_ledger.settings import Settings
from device_ledger.vault.keys import Keys, MasterKey, MasterKeys
from device_ledger.vault.store import Store
from device_ledger.vault.stores import open_store
from device_ledger.vault.tokens import TokenKey
from device_ledger.vault.vault import Vault
from device_ledger.wire.events import EVENT_TYPES
from tests.conftest import AnyStore
from tests.samples.commands import (
    ANNA,
    BERT,
    LATER,
    NOW,
    PHONE,
    another_customer,
    context,
    erase,
    link,
    login,
    receipt,
    unlink,
)

WAIT_SECONDS = 60
MASTER = MasterKey(bytes(range(32)))
KEYS = Keys(MasterKeys([MASTER]), TokenKey(bytes(range(32))))
NEXT_PHONE = replace(PHONE, sealed_id="sealed-anew", key_generation=2)
STALE = ("stale", {"keyGeneration": "1"})


@pytest.fixture
def settings(any_store: AnyStore, vault_url: str) -> Settings:
    """Events and keys each in a store of their own."""
    urls = {"event_store_url": SecretStr(any_store.url), "vault_url": SecretStr(vault_url)}
    return Settings(home=any_store.home, **urls)  # type: ignore[arg-type]


@contextmanager
def opened(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings, now=lambda: NOW)
    try:
        yield ledger
    finally:
        ledger.close()


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    with opened(settings) as ledger:
        yield ledger


@contextmanager
def opened_vault(settings: Settings) -> Iterator[Vault]:
    vault = Vault.open(settings, KEYS)
    try:
        yield vault
    finally:
        vault.close()


@pytest.fixture
def vault(settings: Settings) -> Iterator[Vault]:
    with opened_vault(settings) as vault:
        yield vault


@pytest.fixture
def another_vault(settings: Settings) -> Iterator[Vault]:
    """The vault as another process has it open, with a cache of its own."""
    with opened_vault(settings) as vault:
        yield vault


@pytest.fixture
def keys_stored(settings: Settings) -> Iterator[Store]:
    store = open_store(settings)
    store.create_tables()
    yield store
    store.close()


def answered(future: "Future[Answer]") -> Answer:
    return future.result(WAIT_SECONDS)


def told(answer: Answer) -> tuple[str, dict[str, str]]:
    return answer.status, answer.details


def topics(ledger: Ledger, public: Sequence[str] = ()) -> list[str]:
    stored = ledger.events.store.select_notifications(1, 10_000, topics=public)
    return [one.topic for one in stored]


def keys_of(store: Store, customer: CustomerRef = ANNA) -> list[tuple[int, bool]]:
    """The generation that is kept of a customer's key, and whether there is a key."""
    rows = store.read([(customer.bank_id, customer.user_id)])
    return [(row.generation, row.wrapped is not None) for row in rows]


def test_an_erasure_is_written_with_its_order_last_and_for_the_ledger_alone(
    ledger: Ledger,
) -> None:
    answered(ledger.submit(link(), receipt()))
    answer = answered(ledger.submit(erase(), receipt()))
    assert told(answer) == ("done", {"userId": ANNA.user_id, "keyGeneration": "1"})
    written = topics(ledger)[4:]
    assert written == [
        "device.unlinked.v1",
        "claim.released.v1",
        "claim.released.v1",
        "device.deactivated.v1",
        "device.erased.v1",
        "erasure.ordered.v1",
    ]
    assert topics(ledger, EVENT_TYPES)[-1] == "device.erased.v1"


def test_an_erasure_is_found_by_customer_and_generation(ledger: Ledger) -> None:
    answered(ledger.submit(link(), receipt()))
    answered(ledger.submit(erase(), receipt()))
    last = ledger.events.store.max_notification_id()
    answered(ledger.submit(link(device=NEXT_PHONE), receipt()))
    answered(ledger.submit(erase(key_generation=2), receipt()))
    ordered = ErasureOrdered(1, 1, "request 17", "customer")
    assert last is not None
    found = erasure_of(ledger.events, replace(ANNA, customer_id=None), 1)
    assert found == Erasure(last, ANNA, ordered, context(LATER), NOW)
    assert erasure_of(ledger.events, ANNA, 2).ordered == replace(ordered, key_generation=2)
    with pytest.raises(LookupError):
        erasure_of(ledger.events, ANNA, 3)


def test_all_erasures_are_found_in_order_whatever_their_number(ledger: Ledger) -> None:
    customers = [another_customer() for _ in range(7)]
    for customer in customers:
        answered(ledger.submit(erase(customer), receipt()))
    with mock.patch("device_ledger.ledger.erasures._PAGE", 3):
        pages = [[one.customer for one in page] for page in pages_of_erasures(ledger.events)]
    assert pages == [customers[:3], customers[3:6], customers[6:]]


def test_asking_again_answers_the_same_and_writes_nothing(ledger: Ledger) -> None:
    answered(ledger.submit(link(), receipt()))
    first = answered(ledger.submit(erase(), receipt()))
    written = topics(ledger)
    again = answered(ledger.submit(erase(), receipt()))
    assert (again, topics(ledger)) == (first, written)


@pytest.mark.parametrize("late", [link(), login()], ids=["link", "login-seen"])
def test_what_was_sealed_before_is_sent_back_unwritten_and_no_receipt_is_kept(
    ledger: Ledger, late: Any
) -> None:
    answered(ledger.submit(link(), receipt()))
    answered(ledger.submit(erase(), receipt()))
    written = topics(ledger)
    assert told(answered(ledger.submit(late, receipt("k")))) == STALE
    assert topics(ledger) == written
    sealed_again = replace(late, device=NEXT_PHONE)
    assert answered(ledger.submit(sealed_again, receipt("k"))).status == "done"
    assert len(topics(ledger)) > len(written)


def test_a_command_that_an_erasure_overtakes_is_sent_back(settings: Settings) -> None:
    """The command was decided on the customer as it was; its commit meets the erasure's."""
    with opened(settings) as ledger:
        answered(ledger.submit(link(), receipt()))
        append, store = ledger.events.store.append, ledger.events.store
        overtaking = iter([True])

        def erased_meanwhile(unit: Unit) -> dict[int, int]:
            if next(overtaking, False):
                from_elsewhere(ledger)
            return append(unit)

        with mock.patch.object(store, "append", erased_meanwhile):
            overtaken = answered(ledger.submit(login(seen_at=LATER), receipt()))
    assert told(overtaken) == STALE


def from_elsewhere(ledger: Ledger) -> None:
    """Write an erasure as another process would, past this one's writer thread."""
    attempt = Attempt(ledger.events.store, ledger.events.facts, ledger.identity, NOW)
    attempt.decide([(erase(), receipt())], retry=False)
    attempt.append()


def test_a_snapshot_remembers_which_keys_were_given_up(settings: Settings) -> None:
    with opened(settings) as ledger:
        for _ in range(SNAPSHOT_INTERVAL // 3):
            answered(ledger.submit(link(), receipt()))
            answered(ledger.submit(unlink(), receipt()))
        answered(ledger.submit(erase(), receipt()))
        for _ in range(SNAPSHOT_INTERVAL // 2):
            answered(ledger.submit(link(device=NEXT_PHONE), receipt()))
            answered(ledger.submit(unlink(), receipt()))
        [stream] = ledger.events.store.load([ANNA.aggregate_id]).values()
        assert stream.snapshot is not None
        assert b'"erased_generation":1' in stream.snapshot.state
    with opened(settings) as ledger:
        assert told(answered(ledger.submit(link(), receipt()))) == STALE


def test_a_snapshot_of_the_format_before_is_not_read(ledger: Ledger) -> None:
    answered(ledger.submit(link(), receipt()))
    old = StoredEvent(ANNA.aggregate_id, 1, "customer.snapshot.v1", b"{}")
    ledger.events.store.add_snapshots([old])
    assert told(answered(ledger.submit(link(), receipt()))) == (
        "done",
        {"userId": ANNA.user_id, "registrationId": PHONE.new_registration_id},
    )


async def test_after_an_erasure_the_key_is_gone_and_the_next_is_another(
    ledger: Ledger, vault: Vault, keys_stored: Store
) -> None:
    first = await vault.data_key(ANNA.bank_id, ANNA.user_id)
    answered(ledger.submit(erase(), receipt()))
    erasure = await finish(ledger, vault, ANNA, 1)
    assert erasure.ordered.key_generation == 1
    assert keys_of(keys_stored) == [(2, False)]
    following = await vault.data_key(ANNA.bank_id, ANNA.user_id)
    assert (following.generation, following.key != first.key) == (2, True)


async def test_a_crash_after_the_events_is_made_good_at_the_next_start(
    ledger: Ledger, vault: Vault, keys_stored: Store
) -> None:
    for customer in (ANNA, BERT):
        await vault.data_key(customer.bank_id, customer.user_id)
    answered(ledger.submit(erase(), receipt()))
    assert keys_of(keys_stored) == [(1, True)]
    assert complete(ledger, vault) == 1
    assert (keys_of(keys_stored), keys_of(keys_stored, BERT)) == ([(2, False)], [(1, True)])
    assert complete(ledger, vault) == 0


async def test_a_vault_restored_from_before_the_erasure_loses_the_key_at_the_next_start(
    settings: Settings, ledger: Ledger, keys_stored: Store
) -> None:
    with opened_vault(settings) as vault:
        await vault.data_key(ANNA.bank_id, ANNA.user_id)
        [backup] = keys_stored.read([(ANNA.bank_id, ANNA.user_id)])
        answered(ledger.submit(erase(), receipt()))
        await finish(ledger, vault, ANNA, 1)
        forget_all_keys(settings)
        keys_stored.insert([backup], MASTER.id)
        assert keys_of(keys_stored) == [(1, True)]
        assert complete(ledger, vault) == 1
    assert keys_of(keys_stored) == [(2, False)]


async def test_a_vault_restored_from_before_the_customer_gives_no_old_generation(
    settings: Settings, ledger: Ledger, vault: Vault
) -> None:
    answered(ledger.submit(erase(), receipt()))
    forget_all_keys(settings)
    assert complete(ledger, vault) == 1
    assert (await vault.data_key(ANNA.bank_id, ANNA.user_id)).generation == 2


async def test_a_customer_who_came_back_keeps_the_new_key_at_a_start(
    ledger: Ledger, vault: Vault, keys_stored: Store
) -> None:
    answered(ledger.submit(erase(), receipt()))
    await finish(ledger, vault, ANNA, 1)
    await vault.data_key(ANNA.bank_id, ANNA.user_id)
    assert complete(ledger, vault) == 0
    assert keys_of(keys_stored) == [(2, True)]


async def test_a_key_that_another_process_has_cached_can_seal_nothing_more_into_the_ledger(
    ledger: Ledger, vault: Vault, another_vault: Vault
) -> None:
    cached = await another_vault.data_key(ANNA.bank_id, ANNA.user_id)
    answered(ledger.submit(erase(), receipt()))
    await finish(ledger, vault, ANNA, 1)
    assert await another_vault.data_key(ANNA.bank_id, ANNA.user_id) == cached
    device = Device(PHONE.token, "sealed", cached.generation, PHONE.new_registration_id)
    assert told(answered(ledger.submit(link(device=device), receipt()))) == STALE
    await another_vault.erase(ANNA.bank_id, ANNA.user_id, 1)
    following = await another_vault.data_key(ANNA.bank_id, ANNA.user_id)
    device = replace(device, key_generation=following.generation)
    assert answered(ledger.submit(link(device=device), receipt())).status == "done"


async def test_the_newest_generation_counts_a_key_that_was_erased(vault: Vault) -> None:
    assert await vault.newest_generation(*KEY) == 0
    await vault.data_key(*KEY)
    assert await vault.newest_generation(*KEY) == 1
    await vault.erase(*KEY, 1)
    assert await vault.newest_generation(*KEY) == 1
    await vault.data_key(*KEY)
    assert await vault.newest_generation(*KEY) == 2


KEY = (ANNA.bank_id, ANNA.user_id)


def forget_all_keys(settings: Settings) -> None:
    """Bring the vault to where it was before any customer."""
    url = settings.vault_url.get_secret_value()
    if url:
        with psycopg.connect(url, autocommit=True) as postgres:
            postgres.execute("DELETE FROM data_keys")
        return
    path: Path = settings.home / "vault" / "vault.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as sqlite:
        sqlite.execute("DELETE FROM data_keys")


def test_no_race_writes_a_value_under_a_key_that_was_given_up(settings: Settings) -> None:
    """Two writers where the store lets two in: links under whatever key is newest, and erasures."""
    with opened(settings) as one, ExitStack() as stack:
        on_postgres = bool(settings.event_store_url.get_secret_value())
        other = stack.enter_context(opened(settings)) if on_postgres else one
        generation = 1
        for _ in range(40):
            device = replace(PHONE, key_generation=generation)
            racing = [
                other.submit(erase(key_generation=generation), receipt()),
                one.submit(link(device=device), receipt()),
                other.submit(login(device=device), receipt()),
                one.submit(unlink(device=device), receipt()),
            ]
            erased, linked, *_ = map(answered, racing)
            assert linked.status in {"done", "stale"}
            generation = int(erased.details["keyGeneration"]) + 1
        stored = one.events.store.select_notifications(1, 10_000)
        facts = [one.events.facts.to_domain_event(row).fact for row in stored]
    given_up = 0
    for fact in facts:
        if isinstance(fact, ErasureOrdered):
            given_up = fact.key_generation
        assert getattr(fact, "key_generation", given_up + 1) > given_up or isinstance(
            fact, ErasureOrdered
        )
    assert given_up == 40
