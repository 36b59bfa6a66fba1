"""The app of a lookup node: the merchants' routes, on a read model of this process's own.

Which ledger it is, it learns from the events that it shows (decision 0020).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from api.app import routed_app, surround
from api.auth import Verifier
from api.errors import TRY_AGAIN, Refusal, response_to
from api.following import Relayed, follow
from api.merchant import lookup
from api.metrics import Metrics
from api.operations import health
from api.readiness import NotUpError, Readiness, kafka_check
from api.recorder import Recorder, open_recorder
from api.services import (
    LookupServices,
    Quotas,
    open_key_source,
    peer_tokens,
    positions_of,
)
from api.spool import Spool, open_spool
from device_ledger.issuer import EmbeddedIssuer, IssuerError
from device_ledger.keyfile import KeyLoadingError
from device_ledger.ledger.stores import Identity, StoreRefusedError
from device_ledger.settings import Settings
from device_ledger.together import beside
from device_ledger.vault.keys import Keys, load_keys
from device_ledger.vault.reading import open_to_read
from device_ledger.vault.store import VaultStoreError
from device_ledger.vault.vault import Vault
from projections.guard import BrokenChainError
from projections.lookup.apply import MODEL
from projections.model import Position
from projections.readers import position_of
from projections.replica import CURRENT_SECONDS, LedgerChangedError, Replica
from projections.sqlite_reader import SqliteReadModels
from projections.sqlite_store import SqliteStore
from projections.store import StoreInUseError
from projections.topic import Topic

log = logging.getLogger(__name__)

EXPECTED: Final = (
    BrokenChainError,
    IssuerError,
    KeyLoadingError,
    LedgerChangedError,
    StoreRefusedError,
)
"""What keeps a node from starting, or ends it, with one line that says why."""

FOLDER: Final = "read-models"
"""Below the node's home: where its copy is."""

_ROOMS = (lookup, health)
_NOBODY = ("", "")
"""A customer that there is not: whoever asks for the key sees whether the vault answers."""
_AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node works: ``own`` has its home, ``beside`` the home of keys and vault that no
    setting names."""

    own: Settings
    beside: Settings


@dataclass(frozen=True, slots=True)
class _Opened:
    """What is open for as long as the process serves."""

    keys: Keys
    issuer: EmbeddedIssuer | None
    store: SqliteStore
    spool: Spool


class Gate:
    """Answers lookups with 503 for as long as there is nothing to answer them from."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        asks = scope["type"] == "http" and scope["path"].startswith(lookup.router.prefix)
        if asks and not hasattr(scope["app"].state, "services"):
            refusal = Refusal(503, "catching-up", TRY_AGAIN, {"Retry-After": "1"})
            await response_to(scope, refusal)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def create_node(
    place: Place, on_ready: Callable[[], object], on_failure: Callable[[Exception], object]
) -> FastAPI:
    """The app of a node. It takes requests at once, and serves lookups once it has caught up with
    the topic: then ``on_ready`` is called. ``on_failure`` gets what it can't go on after.

    Raises:
        EXPECTED: it can't start here; the message says why.
    """
    metrics = Metrics()
    stack = ExitStack()
    opened = stack.enter_context(_open(place))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with stack:
            node = _Node(place, opened, metrics)
            async with node.serving(app, on_ready, on_failure):
                yield

    app = routed_app(lifespan, _ROOMS)
    app.add_middleware(Gate)
    surround(app, metrics)
    return app


@contextmanager
def _open(place: Place) -> Iterator[_Opened]:
    keys = load_keys(place.beside)
    issuer = EmbeddedIssuer.open(place.beside) if place.own.embedded_issuer else None
    home = place.own.home
    store = SqliteStore(home / FOLDER)
    with ExitStack() as stack:
        try:
            stack.enter_context(store.writing())
        except StoreInUseError:
            raise StoreRefusedError(
                f"another process keeps read models in {home}: let DEVICE_LEDGER_HOME name a"
                " directory of this node's own"
            ) from None
        spool = stack.enter_context(open_spool(home, place.own.access_spool_bytes))
        yield _Opened(keys, issuer, store, spool)


class _Node:
    """The parts of a node, put together as they come to be there."""

    def __init__(self, place: Place, opened: _Opened, metrics: Metrics) -> None:
        self._place = place
        self._opened = opened
        self._metrics = metrics
        self._brokers = place.own.brokers
        self._replica = Replica(MODEL, opened.store, Topic(self._brokers, MODEL.topic))
        self._relayed = Relayed()
        self._models = SqliteReadModels(place.own.home / FOLDER)
        self._vault: Vault | None = None
        self._is_ready = False
        metrics.show_behind(lambda: self._replica.behind)

    @asynccontextmanager
    async def serving(
        self,
        app: FastAPI,
        on_ready: Callable[[], object],
        on_failure: Callable[[Exception], object],
    ) -> AsyncIterator[None]:
        """Follow the topic, and give the app its services once there is something to serve."""

        def tell(done: "asyncio.Task[None]") -> None:
            error = None if done.cancelled() else done.exception()
            if isinstance(error, Exception):
                on_failure(error)

        async with (
            open_key_source(self._place.own, self._opened.issuer) as key_source,
            open_recorder(self._brokers, self._opened.spool, self._metrics) as recorder,
        ):
            app.state.readiness = self._readiness(recorder)
            verifier = Verifier(self._place.own, key_source)
            opening = self._open_door(app, on_ready, verifier, recorder)
            followed = (self._replica.run(), follow(self._brokers, self._relayed), opening)
            try:
                async with beside(*followed) as tasks:
                    for task in tasks:
                        task.add_done_callback(tell)
                    yield
            finally:
                await self._models.close()
                if self._vault is not None:
                    self._vault.close()

    async def _open_door(
        self,
        app: FastAPI,
        on_ready: Callable[[], object],
        verifier: Verifier,
        recorder: Recorder,
    ) -> None:
        """Wait for the vault and the replica, then let lookups in.

        Raises:
            KeyLoadingError: the keys are not the vault's.
        """
        self._vault = vault = await self._found_vault()
        await self._replica.reached.wait()
        self._is_ready = True
        if not self._replica.known.is_set():
            # Nothing was ever linked, so nobody is kept waiting for more than this says.
            log.warning("the topic has no event yet: the first one tells which ledger this is")
            on_ready()
            await self._replica.known.wait()
            app.state.services = self._services(vault, verifier, recorder)
            return
        app.state.services = self._services(vault, verifier, recorder)
        on_ready()

    async def _found_vault(self) -> Vault:
        told = ""
        while True:
            try:
                return await asyncio.to_thread(open_to_read, self._place.beside, self._opened.keys)
            except VaultStoreError as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("waiting: %s", told)
                await asyncio.sleep(_AGAIN_SECONDS)

    def _services(self, vault: Vault, verifier: Verifier, recorder: Recorder) -> LookupServices:
        tokens = self._opened.keys.token
        identity = Identity.of_source(self._replica.source, self._replica.partitions)
        return LookupServices(
            settings=self._place.own,
            identity=identity,
            vault=vault,
            tokens=tokens,
            models=self._models,
            recorder=recorder,
            peer_token=peer_tokens(tokens),
            positions=positions_of(tokens, identity, {}),
            age_of=self._age_of,
            verifier=verifier,
            quotas=Quotas(self._place.own),
        )

    def _age_of(self, _: Position) -> int:
        """The node doesn't know the event store: only what is on Kafka, and up to when all is."""
        relay = self._relayed.seconds_behind(datetime.now(UTC))
        return int(max(relay, self._replica.seconds_old))

    def _readiness(self, recorder: Recorder) -> Readiness:
        """What the node needs, and what it serves without."""

        async def shows() -> bool:
            await position_of(self._models, MODEL.name)
            return self._is_ready

        async def follows() -> bool:
            if not self._replica.is_current:
                raise NotUpError(f"not compared with the topic for {CURRENT_SECONDS:g} s or more")
            return True

        async def opens() -> bool:
            return self._vault is not None and await self._vault.existing_keys([_NOBODY]) == {}

        helpful = {
            "events": follows,
            "kafka": kafka_check(self._place.own),
            "access-log": recorder.check,
            "vault": opens,
        }
        # Without Kafka and the vault it has not begun to show anything.
        return Readiness({MODEL.name: shows}, helpful, was_whole=True)
