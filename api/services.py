"""What the routes work with: opened once by ``create_app``, handed to them through the app."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import httpx
from fastapi import Request

from api.auth import Verifier
from api.cursor import CursorCodec
from api.metrics import Metrics
from api.oidc import EmbeddedKeys, KeySource, OidcKeys
from api.position import PositionCodec
from api.rates import Quota
from api.readiness import Check, Readiness, in_thread, kafka_answers
from api.recorder import Recorder, open_recorder
from api.security.services import SecurityServices, open_security
from api.spool import Spool, open_spool
from device_ledger.erasure import complete
from device_ledger.geo import Geo
from device_ledger.issuer import EmbeddedIssuer
from device_ledger.ledger.ledger import Ledger
from device_ledger.ledger.stores import Identity
from device_ledger.settings import DEV_ISSUER, Settings
from device_ledger.vault.keys import Keys, load_keys, load_or_create_keys
from device_ledger.vault.tokens import TokenKey
from device_ledger.vault.vault import Vault
from projections.readers import ReadModels, open_read_models, position_of

READ_MODELS = ("lookup", "devices", "links", "audit", "access", "alerts")
PEERS_KEPT_MAX = 4096
"""Addresses whose tokens are kept: making one takes half as long as a record."""


class Quotas:
    """The rate limits of this process."""

    def __init__(self, settings: Settings) -> None:
        self.commands = Quota("commands", settings.rate_commands)
        self.lookups = Quota("lookups", settings.rate_lookups)
        self.unknown = Quota("unknown-lookups", settings.rate_unknown_lookups)
        self.security = Quota("security", settings.rate_security)


@dataclass(frozen=True, slots=True)
class Stores:
    """What is open for as long as the process serves."""

    ledger: Ledger
    vault: Vault
    tokens: TokenKey
    geo: Geo
    issuer: EmbeddedIssuer | None
    spool: Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupServices:
    """All that a merchant's route may need; ``identity`` says whose events are shown."""

    settings: Settings
    identity: Identity
    vault: Vault
    tokens: TokenKey
    models: ReadModels
    recorder: Recorder
    peer_token: Callable[[str], str]
    positions: PositionCodec
    verifier: Verifier
    quotas: Quotas


@dataclass(frozen=True, slots=True, kw_only=True)
class Services(LookupServices):
    """All that a route may need."""

    ledger: Ledger
    geo: Geo
    security: SecurityServices
    cursors: CursorCodec


def services_of(request: Request) -> Services:
    """The services of the app that serves this request."""
    return cast("Services", request.scope["app"].state.services)


@contextmanager
def open_stores(settings: Settings) -> Iterator[Stores]:
    """Open what is written to, and what it needs.

    Raises:
        KeyLoadingError: a key of the installation can't be used.
        IssuerError: the embedded issuer's key can't be used.
        GeoError: a geo file that the settings name can't be used.
        StoreRefusedError: the event store or the spool can't be opened for writing here.
        VaultStoreError: the vault's store can't be used.
    """
    keys = _keys(settings)
    issuer = EmbeddedIssuer.open(settings) if settings.embedded_issuer else None
    geo = Geo.open(settings)
    vault = Vault.open(settings, keys)
    try:
        ledger = Ledger.open(settings)
        try:
            complete(ledger, vault)
            with open_spool(settings.home, settings.access_spool_bytes) as spool:
                yield Stores(ledger, vault, keys.token, geo, issuer, spool)
        finally:
            ledger.close()
    finally:
        vault.close()


@asynccontextmanager
async def open_services(
    settings: Settings, stores: Stores, metrics: Metrics
) -> AsyncIterator[tuple[Services, Readiness]]:
    """Open what is read from, and put everything together."""
    models = await open_read_models(settings)
    identity = stores.ledger.identity
    async with (
        httpx.AsyncClient(timeout=5) as client,
        open_recorder(settings.brokers, stores.spool, metrics) as recorder,
        open_security(settings) as security,
    ):
        try:
            services = Services(
                settings=settings,
                identity=identity,
                vault=stores.vault,
                tokens=stores.tokens,
                models=models,
                recorder=recorder,
                peer_token=peer_tokens(stores.tokens),
                positions=positions_of(stores.tokens, identity),
                verifier=Verifier(settings, key_source(settings, stores.issuer, client)),
                quotas=Quotas(settings),
                ledger=stores.ledger,
                geo=stores.geo,
                security=security,
                cursors=CursorCodec(stores.tokens.derive("cursor")),
            )
            yield services, _readiness(settings, stores.ledger, models, recorder)
        finally:
            await models.close()


def peer_tokens(tokens: TokenKey) -> Callable[[str], str]:
    """The token of a peer's address; those of the last peers are kept."""
    return lru_cache(PEERS_KEPT_MAX)(tokens.address)


def positions_of(tokens: TokenKey, identity: Identity) -> PositionCodec:
    """The positions of a ledger, the same in each process that has its token key."""
    return PositionCodec(tokens.derive("position"), identity.ledger_id, identity.epoch)


def _keys(settings: Settings) -> Keys:
    """The keys that are set; where tokens are for trying things out, also keys made for it."""
    secrets = (settings.master_key, settings.token_key)
    files = (settings.master_key_file, settings.token_key_file)
    is_set = any(secret.get_secret_value() for secret in secrets) or any(files)
    if settings.embedded_issuer and not is_set:
        return load_or_create_keys(settings.home)
    return load_keys(settings)


def key_source(
    settings: Settings, issuer: EmbeddedIssuer | None, client: httpx.AsyncClient
) -> KeySource:
    """Where the keys that verify callers' tokens come from."""
    if issuer is not None:
        return EmbeddedKeys(DEV_ISSUER, issuer.key_id, issuer.public_key)
    return OidcKeys(settings.issuer, client)


def _readiness(
    settings: Settings, ledger: Ledger, models: ReadModels, recorder: Recorder
) -> Readiness:
    async def kafka() -> bool:
        return await kafka_answers(settings.brokers)

    def read_model(name: str) -> Check:
        async def is_readable() -> bool:
            await position_of(models, name)
            return True

        return is_readable

    async def access_log() -> bool:
        return recorder.is_whole

    helpful: dict[str, Check] = {"kafka": kafka, "access-log": access_log}
    helpful |= {name: read_model(name) for name in READ_MODELS}
    return Readiness({"event-store": in_thread(ledger.heads)}, helpful)
