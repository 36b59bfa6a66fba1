"""The master key is exchanged while the vault is used; whatever line a rotation ends at."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from device_ledger.keyfile import KeyLoadingError
from device_ledger.settings import Settings
from device_ledger.vault import rotation, store, stores
from device_ledger.vault.cache import DataKey
from device_ledger.vault.keys import Keys, MasterKey, MasterKeys
from device_ledger.vault.reading import open_to_read
from device_ledger.vault.rotation import NothingToRotateError, Rotated, rotate
from device_ledger.vault.store import MASTER, Store
from device_ledger.vault.stores import open_store
from device_ledger.vault.tables import Customer
from device_ledger.vault.tokens import TokenKey
from device_ledger.vault.vault import Vault
from device_ledger.vault.wrapping import WrongMasterKeyError
from tests.support.crashing import Crash, crash_at
from tests.support.traces import files_below, traces

OLD, NEW = MasterKey(bytes(range(32))), MasterKey(bytes(32))
TOKEN = TokenKey(bytes(range(32)))
ANNA, BERT, CARL = ("bank-a", "anna"), ("bank-a", "bert"), ("bank-b", "anna")


def keys(*masters: MasterKey) -> Keys:
    """Keys with these master keys, the newest last."""
    return Keys(MasterKeys(masters), TOKEN)


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    return Settings.model_validate({"home": tmp_path, "vault_url": store_url})


@pytest.fixture
def opened(settings: Settings) -> Iterator[Callable[..., Vault]]:
    """Opens vaults with some master keys, as processes do."""
    found: list[Vault] = []

    def open_with(*masters: MasterKey, to_read: bool = False) -> Vault:
        how = open_to_read if to_read else Vault.open
        found.append(how(settings, keys(*masters)))
        return found[-1]

    yield open_with
    for vault in found:
        vault.close()


@pytest.fixture
def wrapped(settings: Settings, opened: Callable[..., Vault]) -> Iterator[Store]:
    """The store of a vault that was made with the old master key."""
    opened(OLD)
    with closing(open_store(settings)) as found:
        yield found


async def made(vault: Vault, *customers: Customer) -> dict[Customer, DataKey]:
    """The keys of these customers."""
    return {one: await vault.data_key(*one) for one in customers}


async def test_afterwards_the_same_keys_open_with_the_new_master_key_only(
    settings: Settings, opened: Callable[..., Vault], wrapped: Store
) -> None:
    first = opened(OLD)
    before = await made(first, ANNA, BERT, CARL)
    await first.erase(*CARL, generation=1)
    assert rotate(wrapped, keys(OLD, NEW).masters) == Rotated(2, OLD.id, NEW.id)
    assert wrapped.wrapped_by() == {NEW.id: 2}
    found = await opened(NEW).existing_keys([ANNA, BERT, CARL])
    assert found == {ANNA: before[ANNA], BERT: before[BERT]}
    assert (await opened(NEW).data_key(*CARL)).generation == 2
    for how in (Vault.open, open_to_read):
        with pytest.raises(KeyLoadingError, match=f"needs master key {NEW.id}, this is {OLD.id}"):
            how(settings, keys(OLD))
    with pytest.raises(NothingToRotateError, match=f"wrapped by master key {NEW.id}"):
        rotate(wrapped, keys(OLD, NEW).masters)
    # And back: whoever restores an old copy of the vault rotates that again.
    assert rotate(wrapped, keys(NEW, OLD).masters) == Rotated(3, NEW.id, OLD.id)


async def test_who_has_both_goes_on_and_who_has_one_is_told_which_is_missing(
    opened: Callable[..., Vault], wrapped: Store
) -> None:
    with_both, reader, with_old = opened(OLD, NEW), opened(OLD, NEW, to_read=True), opened(OLD)
    before = await made(with_both, ANNA)
    rotate(wrapped, keys(OLD, NEW).masters)
    after = await made(with_both, BERT)
    assert (await opened(OLD, NEW, to_read=True).existing_keys([ANNA, BERT])) == before | after
    assert await reader.existing_keys([ANNA, BERT]) == before | after
    assert wrapped.wrapped_by() == {NEW.id: 2}
    words = f"wrapped by master key {NEW.id}, this is {OLD.id}"
    with pytest.raises(WrongMasterKeyError, match=words):
        await with_old.existing_keys([BERT])
    with pytest.raises(WrongMasterKeyError, match=words):
        await with_old.data_key(*CARL)


async def test_a_file_of_keys_is_read_again_when_another_key_is_needed(
    settings: Settings, wrapped: Store
) -> None:
    file = [OLD]
    masters = MasterKeys(file, lambda: tuple(file))
    vault = Vault(wrapped, masters)
    before = await made(vault, ANNA)
    file.append(NEW)
    rotate(wrapped, keys(OLD, NEW).masters)
    after = await made(vault, BERT)
    vault.forget(*ANNA)
    assert await vault.existing_keys([ANNA, BERT]) == before | after
    vault.close()


@pytest.mark.parametrize(
    ("masters", "error", "words"),
    [
        ([OLD], NothingToRotateError, "the newest one"),
        ([NEW], KeyLoadingError, f"wrapped by master key {OLD.id}: give it, and after it the new"),
    ],
)
def test_without_two_keys_nothing_is_done(
    wrapped: Store, masters: list[MasterKey], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        rotate(wrapped, keys(*masters).masters)
    assert wrapped.key_id(MASTER) == OLD.id


async def test_a_rotation_that_has_begun_needs_both_keys_until_it_is_over(
    settings: Settings, opened: Callable[..., Vault], wrapped: Store
) -> None:
    await made(opened(OLD), ANNA)
    wrapped.begin_rotation(OLD.id, NEW.id)
    for given, missing in ((OLD, NEW), (NEW, OLD)):
        with pytest.raises(KeyLoadingError, match=f"needs master key {missing.id}"):
            Vault.open(settings, keys(given))
        with pytest.raises(WrongMasterKeyError, match=f"by master key {missing.id}"):
            rotate(wrapped, keys(given).masters)
    assert rotate(wrapped, keys(OLD, NEW).masters).count == 1
    opened(NEW)


async def test_keys_that_are_made_erased_and_read_meanwhile_are_right(
    opened: Callable[..., Vault], wrapped: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "ROWS_MAX", 10)
    vault = opened(OLD, NEW)
    customers = [("bank-a", f"user-{number:03}") for number in range(100)]
    before = await made(vault, *customers[:60])
    rotating = asyncio.create_task(asyncio.to_thread(rotate, wrapped, keys(OLD, NEW).masters))
    for number, customer in enumerate(customers[60:]):
        before |= await made(vault, customer)
        await vault.erase(*customers[number], generation=1)
        del before[customers[number]]
        reader = opened(OLD, NEW, to_read=True)
        assert await reader.existing_keys(customers) == before
    await rotating
    assert wrapped.wrapped_by() == {NEW.id: 60}
    assert await opened(NEW).existing_keys(customers) == before


async def test_a_crash_at_any_line_leaves_a_rotation_that_goes_on(
    settings: Settings,
    opened: Callable[..., Vault],
    wrapped: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rotation, "ROWS_MAX", 2)
    before = await made(opened(OLD), ANNA, BERT, CARL)
    old, new, line, crashed = OLD, NEW, 0, list[Any]()
    while True:
        line += 1
        one = open_store(settings)
        try:
            with crash_at(line, rotation, store, stores) as at:
                rotate(one, keys(old, new).masters)
        except Crash:
            crashed.append(at.crashed_at)
        # As a process that is gone: not `close`, which would wait for what it holds.
        one.connections.abandon()
        newcomer = ("bank-c", f"user-{line}")
        with closing(Vault.open(settings, keys(old, new))) as vault:
            before |= await made(vault, newcomer)
            assert await vault.existing_keys(before) == before
        try:
            rotate(wrapped, keys(old, new).masters)
        except NothingToRotateError:
            assert wrapped.wrapped_by() == {new.id: len(before)}
        with closing(Vault.open(settings, keys(new))) as vault:
            assert await vault.existing_keys(before) == before
        if at.crashed_at is None:
            break
        # The newcomers would make each run longer than the one before.
        forget(settings, newcomer)
        del before[newcomer]
        old, new = new, old
    assert len(set(crashed)) > 40


def forget(settings: Settings, customer: Customer) -> None:
    """Take a customer's row away."""
    with closing(open_store(settings)) as one:
        delete = one._sql("DELETE FROM data_keys WHERE bank_id = ? AND user_id = ?")
        one._transact(lambda db: db.execute(delete, customer))


async def test_no_file_of_a_vault_below_the_home_has_what_the_old_key_wrapped(
    tmp_path: Path,
) -> None:
    settings = Settings(home=tmp_path)
    with closing(Vault.open(settings, keys(OLD))) as vault, closing(open_store(settings)) as one:
        await made(vault, ANNA, BERT)
        before = [str(row.wrapped) for row in one.page(("", ""), 10)]
        assert traces(before, files_below(tmp_path)) != []
        rotate(one, keys(OLD, NEW).masters)
        assert traces(before, files_below(tmp_path)) == []
