"""A claim: one device, or one phrase of a bank, and the customer who holds it or nobody.

Claims are what makes "one customer per device, across all banks" true: a command that takes or
frees one is saved in one transaction with the customer's events, at the version it was read.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from uuid import UUID, uuid5

_NAMESPACE = UUID("6ad7f2a1-64a5-5e52-9a0e-3c1f5b8f2f10")


@lru_cache(1_024)
def claim_id(kind: Literal["device", "phrase"], token: str) -> UUID:
    """The aggregate ID of the claim on a device token or a phrase token."""
    return uuid5(_NAMESPACE, f"{kind}:{token}")


@dataclass(frozen=True)
class ClaimTaken:
    """A customer holds it now; ``holder`` is the customer's aggregate ID."""

    claim_id: UUID
    holder: UUID


@dataclass(frozen=True)
class ClaimReleased:
    """Nobody holds it now."""

    claim_id: UUID


ClaimEvent = ClaimTaken | ClaimReleased


@dataclass
class Claim:
    """Who holds the device or phrase that this claim stands for."""

    claim_id: UUID
    holder: UUID | None = None

    def is_held_by_other(self, customer: UUID) -> bool:
        """Whether somebody holds it who is not this customer."""
        return self.holder is not None and self.holder != customer


def evolve_claim(claim: Claim, event: ClaimEvent) -> None:
    """Copy the fact into the claim."""
    claim.holder = event.holder if isinstance(event, ClaimTaken) else None
