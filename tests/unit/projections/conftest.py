"""Read models on each store."""

import pytest

from tests.conftest import AnyStore
from tests.support.projecting import Projecting


@pytest.fixture
def projecting(any_store: AnyStore) -> Projecting:
    """Empty read models, on SQLite and then on PostgreSQL."""
    return Projecting(any_store.url, any_store.home)
