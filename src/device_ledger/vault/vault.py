"""The vault: one data key a customer, made before the first value is sealed under it.

Keys are read and made in batches by two threads, one that only reads and one that also makes
keys, so that a commit to disk serves all who wait for one; a local file is read at once, which
costs less than to wake a thread. A key that was given is in the store.
Keys stay in this process's memory for at most 60 s: that long after an erasure a sealed value
may still open.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final, Self

from device_ledger.settings import Settings
from device_ledger.vault.cache import DataKey, KeyCache
from device_ledger.vault.keys import Keys, MasterKey, MasterKeys
from device_ledger.vault.store import MASTER, MasterKeyChangedError, Store
from device_ledger.vault.stores import open_store
from device_ledger.vault.tables import Customer, Row
from device_ledger.vault.wrapping import (
    WrongMasterKeyError,
    check_keys,
    known,
    new_row,
    unwrapped,
)

BATCH_MAX: Final = 256


Found = dict[Customer, DataKey]
_Opened = dict[Customer, DataKey | WrongMasterKeyError]


class _Worker:
    """A thread that answers all who wait, up to 256, with one piece of work."""

    def __init__(self, name: str, work: Callable[[list[Customer]], _Opened]) -> None:
        self._work = work
        self._waiting: queue.SimpleQueue[tuple[Sequence[Customer], Future[Found]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def ask(self, customers: Sequence[Customer]) -> Future[Found]:
        """The keys of these customers, once the thread has them."""
        future: Future[Found] = Future()
        self._waiting.put((customers, future))
        return future

    def close(self) -> None:
        """End the thread after those who wait."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < BATCH_MAX and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)
                    break
                batch.append(following)
            self._answer(batch)

    def _answer(self, batch: list[tuple[Sequence[Customer], Future[Found]]]) -> None:
        live = [item for item in batch if item[1].set_running_or_notify_cancel()]
        asked = dict.fromkeys(customer for customers, _ in live for customer in customers)
        try:
            found = self._work(list(asked))
        except Exception as error:  # noqa: BLE001 - each who waits is told
            for _, future in live:
                future.set_exception(error)
            return
        for customers, future in live:
            try:
                future.set_result(_picked(found, customers))
            except WrongMasterKeyError as error:
                future.set_exception(error)


def _picked(opened: _Opened, customers: Sequence[Customer]) -> Found:
    """The keys of some customers; what went wrong with one of them is raised."""
    found: Found = {}
    for customer in customers:
        match opened.get(customer):
            case DataKey() as key:
                found[customer] = key
            case WrongMasterKeyError() as error:
                raise error
    return found


class Vault:
    """The data keys of all customers. Its coroutines belong to one event loop."""

    def __init__(self, store: Store, masters: MasterKeys, cache: KeyCache | None = None) -> None:
        self._store = store
        self._masters = masters
        self._wrapping: MasterKey | None = None
        self._first: int | None = None
        self._cache = cache or KeyCache()
        self._reader = _Worker("vault-reader", self._read)
        self._maker = _Worker("vault-maker", self._read_or_make)

    @classmethod
    def open(cls, settings: Settings, keys: Keys) -> Self:
        """The vault that the settings name, its tables made where they are missing.

        Raises:
            KeyLoadingError: these keys are not those that the vault was made with.
            VaultStoreError: its store can't be used.
        """
        store = open_store(settings)
        store.create_tables()
        check_keys(store, keys)
        return cls(store, keys.masters)

    async def data_key(self, bank_id: str, user_id: str) -> DataKey:
        """The customer's key, made now where there is none; it is durable when this returns.

        Raises:
            WrongMasterKeyError: another master key wrapped it.
            VaultStoreError: the store can't be used.
        """
        customer = (bank_id, user_id)
        cached = self._cache.get(customer)
        if cached is not None:
            return cached
        found = self._read_here([customer]) if self._store.is_local else {}
        if not found:
            found = await self._ask(self._maker, [customer])
        return found[customer]

    async def existing_keys(self, customers: Iterable[Customer]) -> Found:
        """The keys that there are of these customers; one that was erased is absent.

        Raises:
            WrongMasterKeyError: another master key wrapped one of them.
            VaultStoreError: the store can't be used.
        """
        found: Found = {}
        missing = []
        for customer in dict.fromkeys(customers):
            cached = self._cache.get(customer)
            if cached is None:
                missing.append(customer)
            else:
                found[customer] = cached
        if missing and self._store.is_local:
            found |= self._read_here(missing)
        elif missing:
            found |= await self._ask(self._reader, missing)
        return found

    async def newest_generation(self, bank_id: str, user_id: str) -> int:
        """The newest generation of the customer's key that was ever made, 0 for none.

        Raises:
            VaultStoreError: the store can't be used.
        """
        rows = await asyncio.to_thread(self._store.read, [(bank_id, user_id)])
        return max((row.newest_made for row in rows), default=0)

    def erase_again(self, erased: Mapping[Customer, int]) -> int:
        """Delete those of these keys, up to a generation each, that are there still or again.

        Gives back for how many customers something was to do. Waits for the store.

        Raises:
            VaultStoreError: the store can't be used.
        """
        rows = {row.customer: row for row in self._store.read(list(erased))}
        due = [
            customer
            for customer, generation in erased.items()
            if customer not in rows or rows[customer].generation <= generation
        ]
        for customer in due:
            self._store.erase(customer, erased[customer])
        return len(due)

    def scrub(self) -> None:
        """Let nothing of deleted keys lie beside the tables; a crash may have come before that.

        Raises:
            VaultStoreError: the store can't be used, or somebody reads it without a pause.
        """
        self._store.scrub()

    async def erase(self, bank_id: str, user_id: str, generation: int) -> None:
        """Delete the customer's keys up to a generation, for ever; again is the same.

        Raises:
            VaultStoreError: the store can't be used.
        """
        customer = (bank_id, user_id)
        await asyncio.to_thread(self._store.erase, customer, generation)
        self._cache.drop(customer)

    def forget(self, bank_id: str, user_id: str) -> None:
        """Drop a key from memory, as where the ledger says that its generation is over."""
        self._cache.drop((bank_id, user_id))

    def close(self) -> None:
        """End the threads and close the store."""
        self._reader.close()
        self._maker.close()
        self._store.close()

    async def _ask(self, worker: _Worker, customers: Sequence[Customer]) -> Found:
        asked_at = self._cache.clock()
        return self._kept(await asyncio.wrap_future(worker.ask(customers)), asked_at)

    def _read_here(self, customers: list[Customer]) -> Found:
        asked_at = self._cache.clock()
        return self._kept(_picked(self._read(customers), customers), asked_at)

    def _kept(self, found: Found, asked_at: float) -> Found:
        for customer, key in found.items():
            self._cache.put(customer, key, asked_at)
        return found

    def _read(self, customers: list[Customer]) -> _Opened:
        rows = self._store.read(customers)
        return {row.customer: self._opened(row) for row in rows if row.wrapped is not None}

    def _read_or_make(self, customers: list[Customer]) -> _Opened:
        """What two processes store at once, both read back: the first one's key."""
        rows = {row.customer: row for row in self._store.read(customers)}
        first = self._first_generation()
        while True:
            due = [
                (customer, max(first, rows[customer].generation if customer in rows else 1))
                for customer in customers
                if customer not in rows or rows[customer].wrapped is None
            ]
            if not due:
                return {customer: self._opened(row) for customer, row in rows.items()}
            self._make(due)
            rows |= {row.customer: row for row in self._store.read([one for one, _ in due])}

    def _first_generation(self) -> int:
        # Only a restore moves it, while no process is open.
        if self._first is None:
            self._first = self._store.first_generation()
        return self._first

    def _make(self, due: Sequence[tuple[Customer, int]]) -> None:
        """Store new keys of these customers and generations, where there are none by then."""
        if self._wrapping is None:
            self._wrapping = known(self._masters, self._store.key_id(MASTER))
        try:
            made = [new_row(self._wrapping, *one) for one in due]
            self._store.insert(made, self._wrapping.id)
        except MasterKeyChangedError:
            self._wrapping = None

    def _opened(self, row: Row) -> DataKey | WrongMasterKeyError:
        try:
            return DataKey(row.generation, unwrapped(self._masters, row))
        except WrongMasterKeyError as error:
            return error
