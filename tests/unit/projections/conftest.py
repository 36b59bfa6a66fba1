"""Read models on each store."""

from pathlib import Path

import pytest

from tests.conftest import AnyStore
from tests.support.projecting import HALF, RECORDS, Projecting
from tests.support.read_models import Dump


@pytest.fixture
def projecting(any_store: AnyStore) -> Projecting:
    """Empty read models, on SQLite and then on PostgreSQL."""
    return Projecting(any_store.url, any_store.home)


@pytest.fixture
async def expected(tmp_path: Path) -> Dump:
    """What is shown after every record once, in order."""
    fresh = Projecting("", tmp_path / "expected", RECORDS)
    await fresh.apply([])
    return await fresh.dump()


@pytest.fixture
async def halfway(projecting: Projecting) -> Projecting:
    """Read models that were built when half of the records were there; now all are."""
    projecting.topic.add(RECORDS[:HALF])
    await projecting.apply([])
    projecting.topic.add(RECORDS[HALF:])
    return projecting
