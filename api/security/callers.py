"""Who may call the security family: officers and leads, of one bank or of all.

A token's bank narrows everything that its bearer sees. A token with a claim of a bank that names
none is refused: an issuer's slip must not show a bank's officer the other banks.
"""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import Request

from api.auth import Token
from api.callers import Caller, admit, demand_scope, forbidden, is_name
from api.route import Demand
from api.services import Services, services_of

AUDIT: Final = "security.audit"
MANAGE: Final = "security.manage"


@dataclass(frozen=True, slots=True)
class Security(Caller):
    """A security officer. ``bank_id`` is the only bank whose things the officer sees, if any.

    ``expires_at`` is when the token does, in seconds since 1970.
    """

    bank_id: str | None
    expires_at: float

    @property
    def kind(self) -> Literal["security", "lead"]:
        """The kind of caller, as access records tell it."""
        return "security"


@dataclass(frozen=True, slots=True)
class Lead(Security):
    """A security lead, who may also acknowledge, reveal and erase."""

    @property
    def kind(self) -> Literal["security", "lead"]:
        """The kind of caller, as access records tell it."""
        return "lead"


def _officer(token: Token, _services: Services) -> Security:
    demand_scope(token, MANAGE, AUDIT)
    return (Lead if MANAGE in token.scopes else Security)(*_parts(token))


def _lead(token: Token, _services: Services) -> Lead:
    demand_scope(token, MANAGE)
    return Lead(*_parts(token))


def _parts(token: Token) -> tuple[str, str, str, str | None, float]:
    """Rate limit's key, subject, client, bank and end."""
    if token.claims_bank and not is_name(token.bank_id):
        raise forbidden("The token's claim of a bank names none")
    bank_id = token.bank_id if token.claims_bank else None
    key = f"security\0{bank_id or ''}\0{token.subject}"
    return key, token.subject, token.client, bank_id, token.expires_at


async def _security(request: Request) -> Security:
    return await admit(request, services_of(request).quotas.security, _officer)


async def _security_lead(request: Request) -> Lead:
    return await admit(request, services_of(request).quotas.security, _lead)


SecurityCaller = Annotated[Security, Demand(_security, of_caller=True)]
"""A security officer who reads or replays; a lead too, then as a ``Lead``."""
SecurityLead = Annotated[Lead, Demand(_security_lead, of_caller=True)]
"""A security lead, for what is a lead's alone."""
