"""An installation for each test, its stores in a directory of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from device_ledger.settings import Settings
from tests.support.installation import Installation, serving
from tests.support.trail import Trail, whole_trail

ON_BOTH = pytest.mark.parametrize("stores", ["sqlite", "postgresql"], indirect=True)
"""Runs a test on SQLite and on PostgreSQL."""


@pytest.fixture
def chosen() -> dict[str, object]:
    """Settings that differ from the defaults; a test overrides it by ``parametrize``."""
    return {}


@pytest.fixture
def stores(request: pytest.FixtureRequest) -> dict[str, object]:
    """Where event store and read models are: SQLite, or what ``ON_BOTH`` says."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return {}
    url = request.getfixturevalue("postgres_database")
    return {"event_store_url": url, "read_models_url": url}


@pytest.fixture
async def api(
    tmp_path: Path, chosen: dict[str, object], stores: dict[str, object]
) -> AsyncIterator[Installation]:
    """The API over real stores."""
    settings = Settings(home=tmp_path, embedded_issuer=True, **stores, **chosen)  # type: ignore[arg-type]
    async with serving(settings) as installation:
        yield installation


@pytest.fixture
async def trail(api: Installation) -> AsyncIterator[Trail]:
    """The same, with the read models of access records and alerts."""
    async with whole_trail(api) as trail:
        yield trail
