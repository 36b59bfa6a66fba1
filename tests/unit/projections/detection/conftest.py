"""The engine that the tests of rules share."""

from collections.abc import Iterator

import duckdb
import pytest

from projections.detection.engine import open_engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine that may touch no file."""
    with open_engine([], memory="256MB", threads=2, spill=tmp_path_factory.mktemp("spill")) as one:
        yield one
