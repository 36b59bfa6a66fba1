"""The tables of the vault."""

from dataclasses import dataclass
from typing import Final

Customer = tuple[str, str]
"""A bank's ID and a user's ID."""

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS data_keys (
        bank_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        generation BIGINT NOT NULL,
        master_key_id TEXT,
        wrapped TEXT,
        PRIMARY KEY (bank_id, user_id))""",
    "CREATE TABLE IF NOT EXISTS installation (name TEXT PRIMARY KEY, key_id TEXT NOT NULL)",
)
FIRST: Final = "first-generation"
"""Under this name ``installation`` has, after a restore, the generation of new data keys at least:
a value that a lost key has sealed is never tried with another of its generation."""
GENERATIONS_LEFT_OUT: Final = 1_000
"""More than a customer can have had between a backup and its restore: one for each erasure."""

COLUMNS: Final = "bank_id, user_id, generation, master_key_id, wrapped"


@dataclass(frozen=True, slots=True)
class Row:
    """A customer's key as stored: ``wrapped`` is None once it is erased."""

    bank_id: str
    user_id: str
    generation: int
    master_key_id: str | None
    wrapped: str | None

    @property
    def customer(self) -> Customer:
        """Whose key this is."""
        return (self.bank_id, self.user_id)

    @property
    def newest_made(self) -> int:
        """The newest generation that a key was made of, 0 for none."""
        return self.generation if self.wrapped is not None else self.generation - 1
