"""What the routes work with: opened once by ``create_app``, handed to them through the app."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from fastapi import Request

from api.auth import Verifier
from api.backlog import Backlog, open_backlog
from api.cursor import CursorCodec
from api.following import OpenLetters, follow
from api.metrics import Metrics
from api.oidc import EmbeddedKeys, KeySource, OidcKeys
from api.position import PositionCodec
from api.rates import Quota, UnknownLookups
from api.readiness import Check, Readiness, in_thread, kafka_check
from api.recorder import Recorder, open_recorder
from api.security.services import SecurityServices, open_security
from api.spool import Spool, open_spool
from device_ledger.erasure import complete
from device_ledger.geo import Geo
from device_ledger.issuer import EmbeddedIssuer
from device_ledger.ledger.epochs import Epochs, epochs_of
from device_ledger.ledger.ledger import Ledger
from device_ledger.ledger.stores import Identity
from device_ledger.settings import DEV_ISSUER, Settings
from device_ledger.together import beside
from device_ledger.vault.keys import Keys, load_keys, load_or_create_keys
from device_ledger.vault.tokens import TokenKey
from device_ledger.vault.vault import Vault
from projections.model import Position
from projections.readers import ReadModels, open_read_models, position_of

READ_MODELS = ("lookup", "devices", "links", "audit", "access", "alerts")
PEERS_KEPT_MAX = 4096
"""Addresses whose tokens are kept: making one takes half as long as a record."""


class Quotas:
    """The rate limits of this process."""

    def __init__(self, settings: Settings) -> None:
        self.commands = Quota("commands", settings.rate_commands)
        self.lookups = Quota("lookups", settings.rate_lookups)
        self.unknown = UnknownLookups(
            settings.rate_unknown_lookups, settings.rate_unknown_lookups_together
        )
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
    epochs: Epochs


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupServices:
    """All that a merchant's route may need; ``identity`` says whose events are shown, ``age_of``
    how many seconds old a position is."""

    settings: Settings
    identity: Identity
    vault: Vault
    tokens: TokenKey
    models: ReadModels
    recorder: Recorder
    peer_token: Callable[[str], str]
    positions: PositionCodec
    age_of: Callable[[Position], int]
    verifier: Verifier
    quotas: Quotas


@dataclass(frozen=True, slots=True, kw_only=True)
class Services(LookupServices):
    """All that a route may need."""

    ledger: Ledger
    backlog: Backlog
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
                epochs = epochs_of(ledger.events)
                yield Stores(ledger, vault, keys.token, geo, issuer, spool, epochs)
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
        open_key_source(settings, stores.issuer) as key_source,
        open_recorder(settings.brokers, stores.spool, metrics) as recorder,
        open_security(settings) as security,
        open_backlog(
            settings, stores.ledger.heads, security.trees, stores.epochs.count_up_to
        ) as backlog,
        beside(follow(settings.brokers, letters := OpenLetters())),
    ):
        metrics.show_backlog(lambda: backlog.behind)
        metrics.show_letters(lambda: letters.count)
        try:
            services = Services(
                settings=settings,
                identity=identity,
                vault=stores.vault,
                tokens=stores.tokens,
                models=models,
                recorder=recorder,
                peer_token=peer_tokens(stores.tokens),
                positions=positions_of(stores.tokens, identity, stores.epochs.kept),
                age_of=backlog.age_of,
                verifier=Verifier(settings, key_source),
                quotas=Quotas(settings),
                ledger=stores.ledger,
                backlog=backlog,
                geo=stores.geo,
                security=security,
                cursors=CursorCodec(stores.tokens.derive("cursor")),
            )
            yield services, _readiness(services)
        finally:
            await models.close()


def peer_tokens(tokens: TokenKey) -> Callable[[str], str]:
    """The token of a peer's address; those of the last peers are kept."""
    return lru_cache(PEERS_KEPT_MAX)(tokens.address)


def positions_of(
    tokens: TokenKey, identity: Identity, kept: Mapping[int, Mapping[int, int]]
) -> PositionCodec:
    """The positions of a ledger, the same in each process that has its token key."""
    return PositionCodec(tokens.derive("position"), identity.ledger_id, identity.epoch, kept)


def _keys(settings: Settings) -> Keys:
    """The keys that are set; where tokens are for trying things out, also keys made for it."""
    secrets = (settings.master_key, settings.token_key)
    files = (settings.master_key_file, settings.token_key_file)
    is_set = any(secret.get_secret_value() for secret in secrets) or any(files)
    if settings.embedded_issuer and not is_set:
        return load_or_create_keys(settings.home)
    return load_keys(settings)


@asynccontextmanager
async def open_key_source(
    settings: Settings, issuer: EmbeddedIssuer | None
) -> AsyncIterator[KeySource]:
    """Where the keys that verify callers' tokens come from."""
    if issuer is not None:
        yield EmbeddedKeys(DEV_ISSUER, issuer.key_id, issuer.public_key)
        return
    # A tenth of what a start imports, which the embedded issuer doesn't need.
    import httpx

    async with httpx.AsyncClient(timeout=5) as client:
        yield OidcKeys(settings.issuer, client)


def _readiness(services: Services) -> Readiness:
    models = services.models

    def read_model(name: str) -> Check:
        async def is_readable() -> bool:
            await position_of(models, name)
            return True

        return is_readable

    helpful: dict[str, Check] = {
        "kafka": kafka_check(services.settings),
        "relay": services.backlog.check,
        "access-log": services.recorder.check,
    }
    helpful |= {name: read_model(name) for name in READ_MODELS}
    return Readiness({"event-store": in_thread(services.ledger.heads)}, helpful)
