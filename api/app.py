"""The app: all wiring of the API is here."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from types import ModuleType

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_swagger import patch_fastapi
from starlette.exceptions import HTTPException
from starlette.types import Lifespan

from api.bank import device_list, links, logins
from api.errors import Refusal
from api.lane import Handler, ShortWay
from api.merchant import lookup
from api.metrics import Metrics
from api.middleware import Around, UserFamiliesCors
from api.openapi import DESCRIPTION, describe
from api.operations import health
from api.refused import on_http_exception, on_invalid_request, on_refusal, on_unavailable
from api.route import GuardedRoute
from api.security import (
    alert_acknowledge,
    alert_stream,
    alerts,
    audit_search,
    customers,
    holders,
    log,
    replays,
)
from api.services import open_services, open_stores
from api.spool import SpoolError
from api.user import banno, netevia
from device_ledger import __version__
from device_ledger.ledger.attempt import UnavailableError
from device_ledger.ledger.group_commit import OverloadedError
from device_ledger.settings import Settings
from device_ledger.settings import settings as settings_of_process
from device_ledger.trees.database import TreeStoreError
from device_ledger.vault.store import VaultStoreError
from projections.readers import NotReadyError

# The stream's path looks like that of an alert.
_SECURITY = (
    audit_search,
    holders,
    alert_stream,
    alerts,
    alert_acknowledge,
    replays,
    customers,
    log,
)

ROOMS = (lookup, links, logins, device_list, netevia, banno, health, *_SECURITY)
"""All routes, tried in this order: those that are called most come first."""

_OFTEN = (lookup, links, logins, device_list, netevia)

_AWAY = (
    NotReadyError,
    OverloadedError,
    SpoolError,
    TreeStoreError,
    UnavailableError,
    VaultStoreError,
)

_HANDLERS: Mapping[type[Exception], Handler] = {
    Refusal: on_refusal,
    HTTPException: on_http_exception,
    RequestValidationError: on_invalid_request,
    **dict.fromkeys(_AWAY, on_unavailable),
}


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API, its stores opened; the end of its lifespan closes them.

    Raises:
        KeyLoadingError: a key of the installation can't be used.
        IssuerError: the embedded issuer's key can't be used.
        StoreRefusedError: the event store or the spool can't be opened for writing here.
        VaultStoreError: the vault's store can't be used.
    """
    chosen = settings or settings_of_process()
    metrics = Metrics()
    # Opened here and not in the lifespan, whose errors the server tells as a traceback.
    stack = ExitStack()
    stores = stack.enter_context(open_stores(chosen))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with stack:
            async with open_services(chosen, stores, metrics) as (services, readiness):
                app.state.services, app.state.readiness = services, readiness
                yield

    app = routed_app(lifespan)
    app.add_middleware(UserFamiliesCors, origins=chosen.cors_origins)
    surround(app, metrics)
    return app


def surround(app: FastAPI, metrics: Metrics) -> None:
    """What stands around every route: how it refuses, and what is told of each request."""
    app.state.metrics = metrics
    # Set when the server is told to stop: answers without an end of their own end then.
    app.state.ending = asyncio.Event()
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    # Each one added stands around those before it.
    app.add_middleware(Around, metrics=metrics)


def _short_routes(rooms: Iterable[ModuleType]) -> list[GuardedRoute]:
    """Those routes of these rooms that are called most."""
    routes = [route for room in rooms if room in _OFTEN for route in room.router.routes]
    return [route for route in routes if isinstance(route, GuardedRoute)]


def routed_app(
    lifespan: Lifespan[FastAPI] | None = None, rooms: Sequence[ModuleType] = ROOMS
) -> FastAPI:
    """The routes of some rooms and their document, with nothing behind them yet."""
    app = FastAPI(
        title="Device Ledger",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        # The framework's own traces would carry paths and queries.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for room in rooms:
        app.include_router(room.router)
    app.add_middleware(ShortWay, routes=_short_routes(rooms), handlers=_HANDLERS)
    # The page and its scripts come from here: tokens are pasted into it, and a bank may be offline.
    patch_fastapi(
        app, redirect_from_root_to_docs=False, swagger_ui_parameters={"persistAuthorization": False}
    )
    describe(app)
    return app
