"""An installation for each test, its stores in a directory of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from device_ledger.settings import Settings
from tests.support.installation import Installation, serving


@pytest.fixture
def chosen() -> dict[str, object]:
    """Settings that differ from the defaults; a test overrides it by ``parametrize``."""
    return {}


@pytest.fixture
async def api(tmp_path: Path, chosen: dict[str, object]) -> AsyncIterator[Installation]:
    """The API over real SQLite stores."""
    settings = Settings(home=tmp_path, embedded_issuer=True, **chosen)  # type: ignore[arg-type]
    async with serving(settings) as installation:
        yield installation
