import asyncio
import multiprocessing
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from device_ledger.keyfile import KeyLoadingError
from device_ledger.settings import Settings
from device_ledger.vault.cache import DataKey, KeyCache
from device_ledger.vault.keys import Keys, MasterKey, MasterKeys
from device_ledger.vault.store import Store, VaultStoreError
from device_ledger.vault.stores import open_store
from device_ledger.vault.tables import Row
from device_ledger.vault.tokens import TokenKey
from device_ledger.vault.vault import Vault
from device_ledger.vault.wrapping import WrongMasterKeyError, check_keys

MASTER = MasterKey(bytes(range(32)))
KEYS = Keys(MasterKeys([MASTER]), TokenKey(bytes(range(32))))
OTHER_MASTER = MasterKey(bytes(32))
ANNA, BERT, CARL = ("bank-a", "anna"), ("bank-a", "bert"), ("bank-b", "anna")


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    return Settings.model_validate({"home": tmp_path, "vault_url": store_url})


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    store = open_store(settings)
    store.create_tables()
    check_keys(store, KEYS)
    yield store
    store.close()


@pytest.fixture
def vault(settings: Settings) -> Iterator[Vault]:
    vault = Vault.open(settings, KEYS)
    yield vault
    vault.close()


@pytest.fixture
def another_vault(settings: Settings) -> Iterator[Vault]:
    vault = Vault.open(settings, KEYS)
    yield vault
    vault.close()


async def test_a_key_is_made_once_and_found_by_another_process(
    vault: Vault, another_vault: Vault
) -> None:
    key = await vault.data_key(*ANNA)
    assert key.generation == 1
    assert len(key.key) == 32
    assert await vault.data_key(*ANNA) == key
    assert await another_vault.data_key(*ANNA) == key
    assert await another_vault.existing_keys([ANNA]) == {ANNA: key}


async def test_customers_have_keys_of_their_own(vault: Vault) -> None:
    keys = [await vault.data_key(*customer) for customer in (ANNA, BERT, CARL)]
    assert len({key.key for key in keys}) == 3


async def test_reading_makes_no_key(vault: Vault, store: Store) -> None:
    key = await vault.data_key(*ANNA)
    assert await vault.existing_keys([BERT, ANNA, ANNA, CARL]) == {ANNA: key}
    assert await vault.existing_keys([]) == {}
    assert [row.customer for row in store.page(("", ""), 10)] == [ANNA]


async def test_many_keys_are_read_at_once(vault: Vault, another_vault: Vault) -> None:
    customers = [("bank-a", f"user-{number}") for number in range(1_500)]
    keys = await asyncio.gather(*(vault.data_key(*customer) for customer in customers))
    assert await another_vault.existing_keys(customers) == dict(zip(customers, keys, strict=True))


def keys_of_a_process(settings: Settings) -> list[DataKey]:
    """Make 300 keys, as fast as they are made."""

    async def make() -> list[DataKey]:
        vault = Vault.open(settings, KEYS)
        calls = (vault.data_key("bank-a", f"user-{number}") for number in range(300))
        keys = await asyncio.gather(*calls)
        vault.close()
        return keys

    return asyncio.run(make())


def test_two_processes_that_make_the_same_keys_agree(settings: Settings) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn) as processes:
        one, other = processes.map(keys_of_a_process, [settings, settings])
    assert one == other
    assert len({key.key for key in one}) == 300


async def test_a_process_that_comes_second_takes_the_first_ones_key(
    vault: Vault, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = b"f" * 32
    wrapped = MASTER.wrap(first, *ANNA, 1)
    insert = vault._store.insert

    def overtaken(rows: Sequence[Row], master_key_id: str) -> None:
        store.insert([Row(*ANNA, 1, MASTER.id, wrapped)], MASTER.id)
        insert(rows, master_key_id)

    monkeypatch.setattr(vault._store, "insert", overtaken)
    assert await vault.data_key(*ANNA) == DataKey(1, first)


async def test_after_a_crash_between_insert_and_read_back_the_stored_key_is_the_key(
    vault: Vault, another_vault: Vault, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = vault._store.insert

    def die(rows: Sequence[Row], master_key_id: str) -> None:
        insert(rows, master_key_id)
        raise VaultStoreError("killed here")

    monkeypatch.setattr(vault._store, "insert", die)
    with pytest.raises(VaultStoreError, match="killed here"):
        await vault.data_key(*ANNA)
    (row,) = store.read([ANNA])
    assert row.wrapped is not None
    stored = DataKey(1, MASTER.unwrap(row.wrapped, *ANNA, 1))
    assert await another_vault.data_key(*ANNA) == stored
    assert await vault.data_key(*ANNA) == stored


async def test_keys_that_are_asked_for_together_are_stored_together(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, all_asked, sizes = vault._store.insert, threading.Event(), list[int]()

    def counted(rows: Sequence[Row], master_key_id: str) -> None:
        assert all_asked.wait(60)
        sizes.append(len(rows))
        insert(rows, master_key_id)

    monkeypatch.setattr(vault._store, "insert", counted)
    tasks = [asyncio.create_task(vault.data_key("bank-a", str(number))) for number in range(256)]
    await asyncio.sleep(0)
    all_asked.set()
    await asyncio.gather(*tasks)
    assert sum(sizes) == 256
    assert len(sizes) <= 2


async def test_an_erased_key_is_gone_and_the_next_is_of_the_next_generation(
    vault: Vault, another_vault: Vault
) -> None:
    first = await vault.data_key(*ANNA)
    bert = await vault.data_key(*BERT)
    await vault.erase(*ANNA, generation=1)
    await vault.erase(*ANNA, generation=1)
    assert await vault.existing_keys([ANNA, BERT]) == {BERT: bert}
    assert await another_vault.existing_keys([ANNA]) == {}
    second = await another_vault.data_key(*ANNA)
    assert second.generation == 2
    assert second.key != first.key
    await vault.erase(*ANNA, generation=1)
    assert await vault.existing_keys([ANNA]) == {ANNA: second}


async def test_erasing_a_customer_without_a_key_ends_that_generation(vault: Vault) -> None:
    await vault.erase(*ANNA, generation=1)
    assert (await vault.data_key(*ANNA)).generation == 2


async def test_a_key_in_memory_is_read_again_after_a_minute_or_when_forgotten(
    store: Store, another_vault: Vault
) -> None:
    now = [0.0]
    vault = Vault(store, KEYS.masters, KeyCache(lambda: now[0]))
    key = await vault.data_key(*ANNA)
    await another_vault.erase(*ANNA, generation=1)
    now[0] = 59.0
    assert await vault.existing_keys([ANNA]) == {ANNA: key}
    now[0] = 60.0
    assert await vault.existing_keys([ANNA]) == {}
    assert (await vault.data_key(*ANNA)).generation == 2
    await another_vault.erase(*ANNA, generation=2)
    vault.forget(*ANNA)
    assert await vault.existing_keys([ANNA]) == {}
    vault.close()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (Keys(MasterKeys([OTHER_MASTER]), KEYS.token), "the vault needs master key"),
        (Keys(KEYS.masters, TokenKey(bytes(32))), "the vault was made with token key"),
    ],
)
def test_other_keys_than_the_vaults_are_refused_in_one_line(
    settings: Settings, vault: Vault, keys: Keys, message: str
) -> None:
    with pytest.raises(KeyLoadingError, match=message) as raised:
        Vault.open(settings, keys)
    assert "\n" not in str(raised.value)


async def test_a_row_wrapped_by_another_master_key_spoils_no_neighbours_answer(
    vault: Vault, store: Store
) -> None:
    wrapped = OTHER_MASTER.wrap(b"k" * 32, *ANNA, 1)
    store.insert([Row(*ANNA, 1, OTHER_MASTER.id, wrapped)], MASTER.id)
    anna, bert = await asyncio.gather(
        vault.data_key(*ANNA), vault.data_key(*BERT), return_exceptions=True
    )
    assert isinstance(bert, DataKey)
    assert isinstance(anna, WrongMasterKeyError)
    assert OTHER_MASTER.id in str(anna)
    with pytest.raises(WrongMasterKeyError):
        await vault.existing_keys([ANNA])


async def test_a_wrapped_key_moved_to_another_customer_does_not_open(
    vault: Vault, store: Store
) -> None:
    await vault.data_key(*ANNA)
    (row,) = store.read([ANNA])
    store.insert([Row(*BERT, 1, row.master_key_id, row.wrapped)], MASTER.id)
    with pytest.raises(WrongMasterKeyError, match="changed or moved"):
        await vault.data_key(*BERT)


async def test_after_a_restore_new_keys_are_of_generations_that_were_never_made(
    vault: Vault, store: Store, settings: Settings
) -> None:
    anna = await vault.data_key(*ANNA)
    await vault.data_key(*BERT)
    store.raise_first_generation()
    store.raise_first_generation()
    restored = Vault.open(settings, KEYS)
    await restored.erase(*BERT, 1)
    keys = [await restored.data_key(*one) for one in (ANNA, BERT, CARL)]
    restored.close()
    assert keys[0] == anna
    assert [one.generation for one in keys] == [1, 2_001, 2_001]
