"""What all reads share: waiting for a position, telling the one shown, opening sealed values."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Protocol, TypeVar

from fastapi import Header, Request

from api.commands import LEDGER_POSITION
from api.errors import Refusal
from api.position import LostPositionError, UnknownPositionError
from api.route import Demand, add_header
from api.services import Services, services_of
from device_ledger.vault.cache import DataKey
from device_ledger.vault.sealing import Unsealer
from projections.model import Position
from projections.readers import Shown

LEDGER_AGE: Final = "Ledger-Age"
"""Seconds: what is read shows all that was stored so long ago."""
WAIT_SECONDS: Final = 2.0

T = TypeVar("T")


class Sealed(Protocol):
    """A row with sealed values: whose they are, and under which generation of the key."""

    @property
    def bank_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def key_generation(self) -> int: ...


async def _min_position(
    request: Request,
    ledger_min_position: Annotated[
        str | None,
        Header(
            alias="Ledger-Min-Position",
            description="A `Ledger-Position` that the answer must show at least: it waits up to"
            " 2 s for it, then answers 503.",
        ),
    ] = None,
) -> Position:
    if ledger_min_position is None:
        return {}
    try:
        return services_of(request).positions.decode(ledger_min_position)
    except UnknownPositionError:
        raise Refusal(
            400, "unknown-position", "Ledger-Min-Position is no position of this ledger"
        ) from None
    except LostPositionError:
        raise Refusal(
            400,
            "lost-position",
            "Ledger-Min-Position covers commands that were lost when the ledger was restored:"
            " look what is there, without it",
        ) from None


MinPosition = Annotated[Position, Demand(_min_position)]
"""The position that a read must show at least; empty where the caller named none."""


async def wait_for(services: Services, model: str, position: Position) -> None:
    """Return once a read model shows a position.

    Raises:
        Refusal: 503, it doesn't within ``WAIT_SECONDS``.
    """
    if position and not await services.models.wait_for(model, position, WAIT_SECONDS):
        raise Refusal(
            503,
            "behind",
            "What was asked for is not shown yet; try again",
            {"Retry-After": "1"},
        )


def shown_value(request: Request, shown: Shown[T]) -> T:
    """The value of a read; the response gets the position that it shows, and how old that is."""
    services = services_of(request)
    add_header(request, LEDGER_POSITION, services.positions.encode(shown.position))
    add_header(request, LEDGER_AGE, str(services.age_of(shown.position)))
    return shown.value


class Opener:
    """Opens sealed values of rows whose customers' keys were read from the vault before."""

    def __init__(self, keys: Mapping[tuple[str, str], DataKey]) -> None:
        self._keys = keys
        self._unsealers: dict[tuple[str, str], Unsealer] = {}

    @classmethod
    async def of(cls, services: Services, rows: Iterable[Sealed]) -> "Opener":
        """The opener of these rows.

        Raises:
            VaultStoreError: the vault is away.
        """
        return cls(await services.vault.existing_keys((row.bank_id, row.user_id) for row in rows))

    def can_open(self, row: Sealed) -> bool:
        """Whether the row's key is there; a row whose key is gone reads as absent."""
        key = self._keys.get((row.bank_id, row.user_id))
        return key is not None and key.generation == row.key_generation

    def open(self, row: Sealed, field: str, sealed: str) -> str:
        """A value of a row that ``can_open``.

        Raises:
            CannotOpenError: it was sealed for another row or was changed.
        """
        whose = row.bank_id, row.user_id
        if whose not in self._unsealers:
            self._unsealers[whose] = Unsealer(self._keys[whose].key, *whose)
        return self._unsealers[whose].open(field, sealed)
