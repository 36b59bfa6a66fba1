"""Where read models are kept: one door for SQLite and PostgreSQL.

A read model is kept in generations. One is live: a pointer names it, and it is what readers see.
A rebuild writes another one beside it and then moves the pointer.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from device_ledger.settings import Settings
from projections.guard import Standing
from projections.model import ReadModel


class GenerationGoneError(Exception):
    """The generation is no longer live, or its database is lost: open the live one anew."""


class StoreInUseError(RuntimeError):
    """Another process writes here; the message says what to do."""


class Transaction(Protocol):
    """A generation under change: its positions are locked until the end."""

    standings: dict[int, Standing]

    def load(self, keys: Collection[str]) -> dict[str, Any]:
        """The rows that there are of these keys."""

    def save(self, rows: Sequence[Any]) -> None:
        """Write rows, new or not."""

    def append(self, rows: Sequence[Any]) -> None:
        """Write the rows whose key is not there yet; the others stay as they are."""

    def remove(self, keys: Collection[str]) -> None:
        """Remove rows."""

    def count(self, deltas: Mapping[tuple[str, int], int]) -> None:
        """Add to the counts of (value, partition)."""

    def move(self, standings: Mapping[int, Standing]) -> None:
        """Set where the read model stands."""


class Generation(Protocol):
    """An open generation of a read model. Not for two threads at once."""

    name: str

    def transaction(self, partitions: Collection[int]) -> AbstractContextManager[Transaction]:
        """Change rows and positions of these partitions, all or nothing.

        Raises:
            GenerationGoneError: it was replaced or lost; nothing is changed.
        """

    def standings(self) -> dict[int, Standing]:
        """Where it stands, by partition."""

    def close(self) -> None:
        """Give its connection back."""


class Store(Protocol):
    """All read models of an installation."""

    retriable: tuple[type[Exception], ...]
    """What to try again after a while: the database is away, locked or full."""

    def live(self, model: ReadModel) -> str | None:
        """The name of the live generation, where there is one that is not lost.

        One whose tables are not today's goes on serving, but is no one's to write.
        """

    def create(self, model: ReadModel, partitions: int) -> str:
        """Make an empty generation beside the others; its name."""

    def open(self, model: ReadModel, generation: str, *, live: bool) -> Generation:
        """Open a generation; as the live one, each transaction makes sure that it still is."""

    def point(self, model: ReadModel, generation: str | None) -> None:
        """Make a generation the live one, at once for all readers; ``None``: there is none."""

    def remove_others(self, model: ReadModel) -> None:
        """Remove what interrupted rebuilds left: all generations but the one pointed to."""

    def building(self, model: ReadModel) -> AbstractContextManager[None]:
        """Hold the right to make generations of a read model.

        Raises:
            StoreInUseError: another process holds it.
        """

    def writing(self) -> AbstractContextManager[None]:
        """Hold the right to write live generations.

        Raises:
            StoreInUseError: another worker writes here, and the store is for one.
        """


def open_store(settings: Settings) -> Store:
    """The store that the settings name."""
    url = settings.read_models_url.get_secret_value()
    if url:
        from projections.postgres_store import PostgresStore

        return PostgresStore(url)
    from projections.sqlite_store import SqliteStore

    return SqliteStore(settings.home / "read-models")
