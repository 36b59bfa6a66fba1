"""A backup that is put in place: whole, in a new epoch, whatever crashes; or nothing is changed."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from device_ledger.alone import NotAloneError, alone_on
from device_ledger.backup import plan
from device_ledger.backup.backup import back_up_ledger, back_up_vault
from device_ledger.backup.manifest import BackupError
from device_ledger.backup.plan import finish, is_half_restored
from device_ledger.backup.restore import Restored, Wanted, begin_in_place, restore
from device_ledger.domain.customer.command import Command
from device_ledger.ledger.epochs import IDS_OF_AN_EPOCH, epochs_of
from device_ledger.ledger.ledger import EventStore, Ledger
from device_ledger.ledger.stores import StoreRefusedError
from device_ledger.settings import Settings
from device_ledger.vault.keys import load_or_create_keys
from device_ledger.vault.store import VaultStoreError
from device_ledger.vault.stores import open_store
from device_ledger.vault.vault import Vault
from tests.samples.commands import another_customer, another_device, link, receipt
from tests.support.relaying import write
from tests.unit.backup.test_backup import rows, silent


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    chosen = Settings(home=tmp_path / "home")
    keys = load_or_create_keys(chosen.home)
    Vault.open(chosen, keys).close()
    ledger = Ledger.open(chosen)
    write(ledger, 20)
    ledger.close()
    return chosen


def events_of(settings: Settings) -> list[tuple[object, ...]]:
    return rows(settings.home / "ledger" / "events.db")


def more(settings: Settings, count: int = 5) -> None:
    ledger = Ledger.open(settings)
    write(ledger, count)
    ledger.close()


def test_the_copy_takes_the_place_of_what_is_there_in_a_new_epoch(
    settings: Settings, tmp_path: Path
) -> None:
    before = events_of(settings)
    folder = back_up_ledger(settings, tmp_path / "backups", silent)
    more(settings)
    replaced = events_of(settings)
    # A process that was killed leaves what it committed last in the log beside the database.
    connection = sqlite3.connect(settings.home / "ledger" / "events.db")
    connection.execute("UPDATE partition_heads SET last_id = last_id + 1000")
    connection.commit()
    assert (settings.home / "ledger" / "events.db-wal").stat().st_size
    done = restore(settings, Wanted(folder, None), 0, silent)
    connection.close()
    assert done == Restored(2, before[-1][0])  # type: ignore[arg-type]
    now = events_of(settings)
    assert now[: len(before)] == before
    assert [row[0] for row in now[len(before) :]] == [IDS_OF_AN_EPOCH + n for n in range(1, 9)]
    events = EventStore.open(settings)
    assert (events.identity.epoch, epochs_of(events).now) == (2, 2)
    events.close()
    [kept] = (settings.home / "ledger").glob("replaced-*/events.db")
    assert rows(kept) == replaced
    assert not (settings.home / "restoring").exists()
    more(settings)


def test_an_epoch_is_above_all_that_were_seen(settings: Settings, tmp_path: Path) -> None:
    folder = back_up_ledger(settings, tmp_path / "backups", silent)
    wanted = Wanted(folder, None)
    epochs = [restore(settings, wanted, seen, silent) for seen in (0, 0, 7, 0)]
    assert [one.epoch for one in epochs if one] == [2, 3, 8, 9]
    assert begin_in_place(settings, 0).epoch == 10


def test_a_damaged_backup_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    folder = back_up_ledger(settings, tmp_path / "backups", silent)
    vault = back_up_vault(settings, tmp_path / "apart", silent)
    before = events_of(settings)
    copy = vault / "vault" / "vault.db"
    copy.write_bytes(copy.read_bytes()[:-1] + b"\xff")
    with pytest.raises(BackupError, match="is damaged"):
        restore(settings, Wanted(folder, vault), 0, silent)
    assert not is_half_restored(settings.home)
    assert events_of(settings) == before
    more(settings)


def test_the_backup_of_another_ledger_is_refused(settings: Settings, tmp_path: Path) -> None:
    other = Settings(home=tmp_path / "other")
    more(other)
    folder = back_up_ledger(other, tmp_path / "backups", silent)
    with pytest.raises(BackupError, match="holds another ledger"):
        restore(settings, Wanted(folder, None), 0, silent)


def test_a_home_that_is_worked_on_is_not_restored(settings: Settings) -> None:
    ledger = Ledger.open(settings)
    with pytest.raises(NotAloneError, match="the API works on"), alone_on(settings.home):
        pass
    ledger.close()
    with alone_on(settings.home), pytest.raises(StoreRefusedError):
        Ledger.open(settings)


class Crashed(BaseException):
    """The process ended here."""


class Crashing:
    """Ends the process at the n-th step on the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.steps = 0
        self._at = at
        for owner, name in (
            *((Path, name) for name in ("rename", "replace", "unlink", "mkdir", "write_text")),
            (os, "fsync"),
            (shutil, "rmtree"),
        ):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if self.steps == self._at:
                raise Crashed
            self.steps += 1
            return step(*args, **kwargs)

        return counted


def test_a_crash_at_any_step_leaves_the_old_state_or_one_that_goes_on(
    settings: Settings, tmp_path: Path
) -> None:
    folder = back_up_ledger(settings, tmp_path / "backups", silent)
    vault = back_up_vault(settings, tmp_path / "apart", silent)
    more(settings)
    before = events_of(settings)
    begun = tmp_path / "begun"
    shutil.copytree(settings.home, begun)
    ends, at = set(), 0
    while "untouched" not in ends:
        shutil.rmtree(settings.home)
        shutil.copytree(begun, settings.home)
        ends.add(crashed(settings, Wanted(folder, vault), at, before))
        at += 1
    assert ends == {"old", "goes on", "new", "untouched"}
    assert at > 30


def crashed(settings: Settings, wanted: Wanted, at: int, before: list[Any]) -> str:
    """What a restore left that ended at a step; it is made whole then."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        crashing = Crashing(monkeypatch, at)
        try:
            restore(settings, wanted, 0, silent)
            ended = "untouched"
        except Crashed:
            ended = "new"
        assert crashing.steps <= at or ended == "untouched"
    if is_half_restored(settings.home):
        with pytest.raises(StoreRefusedError, match="`device-ledger restore` again"):
            EventStore.open(settings)
        with pytest.raises(VaultStoreError, match="`device-ledger restore` again"):
            open_store(settings)
        finish(settings.home)
        ended = "goes on"
    elif events_of(settings) == before:
        restore(settings, wanted, 0, silent)
        ended = "old"
    check_restored(settings, before)
    return ended


def check_restored(settings: Settings, before: list[Any]) -> None:
    """The backup is in place, once, and can be written to."""
    now = events_of(settings)
    kept = [row for row in now if row[0] < IDS_OF_AN_EPOCH]  # type: ignore[operator]
    assert kept == before[: len(kept)]
    assert len(before) - len(kept) == 4 * 5
    assert len(now) - len(kept) == 8
    assert not is_half_restored(settings.home)
    more(settings, 1)
    Vault.open(settings, load_or_create_keys(settings.home)).close()


def test_a_restored_vault_opens_and_a_half_restored_one_does_not(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = back_up_vault(settings, tmp_path / "apart", silent)
    before = events_of(settings)
    assert restore(settings, Wanted(None, vault), 0, silent) is None
    assert events_of(settings) == before
    Vault.open(settings, load_or_create_keys(settings.home)).close()
    monkeypatch.setattr(plan, "_put", lambda *_: (_ for _ in ()).throw(Crashed))
    with pytest.raises(Crashed):
        restore(settings, Wanted(None, vault), 0, silent)
    with pytest.raises(VaultStoreError, match="was interrupted"):
        Vault.open(settings, load_or_create_keys(settings.home))


async def test_a_vault_that_is_older_makes_no_key_that_is_taken_for_one_that_is_lost(
    settings: Settings, tmp_path: Path
) -> None:
    keys = load_or_create_keys(settings.home)
    vault = Vault.open(settings, keys)
    anna = await vault.data_key("bank-a", "anna")
    await vault.data_key("bank-a", "carl")
    folder = back_up_vault(settings, tmp_path / "apart", silent)
    bert = await vault.data_key("bank-a", "bert")
    await vault.erase("bank-a", "carl", 1)
    carl = await vault.data_key("bank-a", "carl")
    vault.close()
    restore(settings, Wanted(None, folder), 0, silent)
    vault = Vault.open(settings, keys)
    assert await vault.data_key("bank-a", "anna") == anna
    others = await vault.data_key("bank-a", "bert")
    # The API does so at its start, for what the event store holds of erasures.
    assert vault.erase_again({("bank-a", "carl"): 1}) == 1
    carls = await vault.data_key("bank-a", "carl")
    vault.close()
    assert (bert.generation, carl.generation) == (1, 2)
    assert min(others.generation, carls.generation) > 1_000
    again = Vault.open(settings, keys)
    assert await again.data_key("bank-a", "carl") == carls
    again.close()


def submit(settings: Settings, *commands: Command) -> list[int]:
    """Decide commands one after the other; the last id after each."""
    ledger = Ledger.open(settings)
    ids = []
    for number, command in enumerate(commands):
        kept = receipt(f"key-{len(events_of(settings))}-{number}")
        ledger.submit(command, kept).result(60)
        ids.append(ledger.events.store.max_notification_id() or 0)
    ledger.close()
    return ids


@pytest.fixture
def cut_at(settings: Settings, tmp_path: Path) -> Callable[[int | str], Path]:
    """Backs up, and restores up to a point."""

    def cut(until: int | str) -> Path:
        folder = back_up_ledger(settings, tmp_path / "backups", silent)
        restore(settings, Wanted(folder, None, until), 0, silent)
        return folder

    return cut


def kept_ids(settings: Settings) -> list[int]:
    return [row[0] for row in events_of(settings) if row[0] < IDS_OF_AN_EPOCH]  # type: ignore[operator, misc]


def test_a_command_is_kept_whole_or_not_at_all(
    settings: Settings, cut_at: Callable[[int | str], Path]
) -> None:
    devices = [another_device() for _ in range(3)]
    commands = [link(another_customer(), one, phrase=one.token) for one in devices]
    first, second, _ = submit(settings, *commands)
    # Between the two events of the third command, and between its claims.
    for until in (second + 3, second + 1, second):
        cut_at(until)
        assert kept_ids(settings)[-1] == second
    cut_at(second - 1)
    assert kept_ids(settings)[-1] == first
    # What was cut off never was: another may have the device.
    other = link(another_customer(), devices[1], phrase="another phrase")
    ledger = Ledger.open(settings)
    assert ledger.submit(other, receipt()).result(60).status == "done"
    assert ledger.submit(commands[0], receipt()).result(60).status == "done"
    ledger.close()


def test_up_to_a_time_nothing_that_was_recorded_later_is_left(
    settings: Settings, cut_at: Callable[[int | str], Path]
) -> None:
    states = [orjson.loads(row[4]) for row in events_of(settings)]  # type: ignore[arg-type]
    times = sorted({one["data"]["recordedAt"] for one in states if "data" in one})
    at = times[len(times) // 2]
    cut_at(at)
    left = [orjson.loads(row[4]) for row in events_of(settings)]  # type: ignore[arg-type]
    kept = [
        one["data"]["recordedAt"]
        for one in left
        if one.get("type") != "ledger.restored.v1" and "data" in one
    ]
    assert max(kept) == at
    assert len(kept) == sum(one["data"]["recordedAt"] <= at for one in states if "data" in one)
