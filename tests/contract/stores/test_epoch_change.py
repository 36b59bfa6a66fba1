"""A process that has a store open while it is restored writes nothing into the new epoch."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from device_ledger.ledger.epochs import begin_epoch
from device_ledger.ledger.ledger import Ledger
from device_ledger.ledger.stores import RestoredError, StoreRefusedError, Unit
from device_ledger.settings import Settings
from tests.conftest import AnyStore
from tests.support.relaying import write
from tests.support.topic_check import stored_events


def raise_epoch(settings: Settings) -> None:
    """What a restore does to a store that somebody holds open against its rules."""
    statement = "UPDATE ledger_identity SET epoch = 2"
    if url := settings.event_store_url.get_secret_value():
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)
    else:
        with closing(sqlite3.connect(settings.home / "ledger" / "events.db")) as database:
            database.execute(statement)
            database.commit()


def test_what_was_opened_before_a_restore_neither_reads_heads_nor_writes(
    any_store: AnyStore,
) -> None:
    settings = Settings(home=any_store.home, event_store_url=SecretStr(any_store.url))
    ledger = Ledger.open(settings)
    write(ledger, 5)
    before = stored_events(ledger.events)
    raise_epoch(settings)
    with pytest.raises(RestoredError, match="start it again"):
        ledger.heads()
    one = ledger.events.facts.to_stored_event(ledger.events.facts.to_domain_event(before[0]))
    again = type(one)(one.originator_id, 900, one.topic, one.state)
    with pytest.raises(RestoredError):
        ledger.events.store.append(Unit({}, [again], [0]))
    assert stored_events(ledger.events) == before
    ledger.close()
    ledger = Ledger.open(settings)
    assert ledger.identity.epoch == 2
    write(ledger, 1)
    ledger.close()


def test_an_epoch_does_not_begin_while_others_are_connected(
    postgres_database: str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, event_store_url=SecretStr(postgres_database))
    ledger = Ledger.open(settings)
    with psycopg.connect(postgres_database), pytest.raises(StoreRefusedError, match="connected"):
        begin_epoch(ledger.events, 2, "restored from a copy", "2026-01-31T09:30:00.000Z")
    assert ledger.identity.epoch == 1
    begin_epoch(ledger.events, 2, "restored from a copy", "2026-01-31T09:30:00.000Z")
    write(ledger, 1)
    ids = [one.id for one in stored_events(ledger.events)]
    assert ids == [(1 << 40) + number for number in (*range(1, 9), 9, 10)]
    ledger.close()
