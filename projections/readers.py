"""How the API reads: rows, and the position that they show, always from one snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from device_ledger.settings import Settings
from projections.model import Position

T = TypeVar("T")

Statement = tuple[str, Mapping[str, Any]]
"""SQL with `:name` for a parameter and `IN :name` for a list of them, and the parameters."""


class NotReadyError(RuntimeError):
    """The read model was not built yet, or its database is away: answer 503."""


@dataclass(frozen=True, slots=True)
class Shown(Generic[T]):
    """What was read, and the events that it shows: all up to this position, none above."""

    value: T
    position: Position


class ReadModels(Protocol):
    """The live read models of an installation, for reading."""

    engine: Literal["sqlite", "postgresql"]

    async def read(
        self, model: str, *statements: Statement, slow: bool = False
    ) -> Shown[list[list[tuple[Any, ...]]]]:
        """Run queries on one snapshot of a read model; the rows of each.

        ``slow`` ones may look at many rows: they must not hold up other reads.

        Raises:
            NotReadyError: there is nothing to read.
        """

    async def wait_for(self, model: str, position: Position, within: float) -> bool:
        """Wait until a read model shows a position; false where it doesn't in that many seconds."""

    async def close(self) -> None:
        """Close all connections."""


async def open_read_models(settings: Settings) -> ReadModels:
    """The read models that the settings name; they need not be there yet."""
    url = settings.read_models_url.get_secret_value()
    if url:
        from projections.postgres_reader import PostgresReadModels

        return await PostgresReadModels.open(url)
    from projections.sqlite_reader import SqliteReadModels

    return SqliteReadModels(settings.home / "read-models")


async def position_of(models: ReadModels, model: str) -> Position:
    """Where a read model stands.

    Raises:
        NotReadyError: there is none yet.
    """
    return (await models.read(model)).position


def covers(shown: Mapping[int, int], asked: Mapping[int, int]) -> bool:
    """Whether a position is reached, in every partition."""
    return all(shown.get(partition, 0) >= last_id for partition, last_id in asked.items())
