"""Who may call: types for route signatures, one for each kind of caller and demand.

``bank: BankCaller`` in a signature is all that a route needs: the token is verified, the scope
and claims are checked, the rate limit is counted, once the request is known to be valid
(see ``api.route``).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, NoReturn, TypeVar

from fastapi import Path, Request

from api.auth import Token
from api.errors import STEP_UP, Refusal
from api.rates import Quota
from api.route import Demand, add_header
from api.services import Services, services_of
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.domain.values import InvalidValueError, customer_id, is_uuid
from device_ledger.settings import Settings

MANAGE: Final = "devices.manage"
LOOKUP: Final = "devices.lookup"
READ_OWN: Final = "https://api.banno.com/consumer/auth/devices.readonly"
REMOVE_OWN: Final = "https://api.banno.com/consumer/auth/devices.readwrite"
ADMIN_PERMISSION: Final = "Manage security settings"
VERIFIED: Final = "verified"
"""The request's verified token, in its state; so is the :data:`CALLER` once one was admitted."""
CALLER: Final = "caller"
ANOTHER_USER: Final = "The token is not for this user's devices"
NAME_LENGTH_MAX: Final = 128
UUID_PATTERN: Final = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller. ``key`` names whose rate limit it counts against; its kind comes first."""

    key: str
    subject: str
    client: str

    @property
    def kind(self) -> str:
        """``bank``, ``merchant``, ``user``, ``admin``, ``security`` or ``lead``."""
        return self.key.partition("\0")[0]

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> NoReturn:
        """Keep the framework from reading a caller out of a request's body."""
        raise TypeError("a caller is made of a token: the route needs GuardedRoute")


@dataclass(frozen=True, slots=True)
class Bank(Caller):
    """A bank's system."""

    bank_id: str


@dataclass(frozen=True, slots=True)
class Merchant(Caller):
    """A merchant's system."""

    merchant_id: str


@dataclass(frozen=True, slots=True)
class User(Caller):
    """Somebody who acts on one user's devices at a bank: the user, or an admin of the bank."""

    customer: CustomerRef

    @property
    def bank_id(self) -> str:
        """The bank whose user it is."""
        return self.customer.bank_id

    @property
    def user_id(self) -> str:
        """The user's ID, in lower case."""
        return self.customer.user_id


def _bank(token: Token, _services: Services) -> Bank:
    demand_scope(token, MANAGE)
    bank_id = _bank_id(token)
    return Bank(f"bank\0{bank_id}", token.subject, token.client, bank_id)


def _merchant(token: Token, services: Services) -> Merchant:
    demand_scope(token, LOOKUP)
    if not is_name(token.merchant_id):
        raise forbidden("The token names no merchant")
    key = f"merchant\0{token.merchant_id}"
    services.quotas.unknown.require(key)
    return Merchant(key, token.subject, token.client, token.merchant_id)


def _own_user(token: Token, services: Services, *scopes: str) -> User:
    demand_scope(token, *scopes)
    bank_id = _bank_id(token)
    try:
        name = customer_id(token.user_id)
    except InvalidValueError:
        raise forbidden("The token names no user") from None
    user_id = services.tokens.user_id(bank_id, name)
    # A UUID may be a user ID that was derived: then nobody here knows the customer ID.
    ref = CustomerRef(bank_id, user_id, None if is_uuid(name) else name)
    return User(f"user\0{bank_id}\0{user_id}", token.subject, token.client, ref)


def _user_of_path(token: Token, services: Services, wanted: str, *scopes: str) -> User:
    """The user of the path, if the token is that user's own or an admin's of the bank."""
    if not token.scopes.isdisjoint(scopes):
        user = _own_user(token, services, *scopes)
        if user.user_id == wanted:
            return user
    if ADMIN_PERMISSION not in token.permissions:
        raise forbidden(ANOTHER_USER)
    bank_id = _bank_id(token)
    key = f"admin\0{bank_id}\0{token.subject}"
    return User(key, token.subject, token.client, CustomerRef(bank_id, wanted))


def _demand_fresh_login(token: Token, settings: Settings) -> None:
    """Removing a device is a high-risk action: where set, RFC 9470 asks for a recent login."""
    max_age = settings.step_up_max_age
    if max_age is None or token.acr in settings.step_up_acr:
        return
    if token.auth_time is not None and abs(time.time() - token.auth_time) <= max_age:
        return
    parts = ['Bearer error="insufficient_user_authentication"']
    if settings.step_up_acr:
        parts.append(f'acr_values="{" ".join(sorted(settings.step_up_acr))}"')
    parts.append(f"max_age={max_age}")
    raise Refusal(401, "step-up", STEP_UP, {"WWW-Authenticate": ", ".join(parts)})


def demand_scope(token: Token, *any_of: str) -> None:
    """Refuse with 403 a token that has none of these scopes; the last one is asked for."""
    if token.scopes.isdisjoint(any_of):
        header = f'Bearer error="insufficient_scope", scope="{any_of[-1]}"'
        raise forbidden("The token lacks the scope for this", {"WWW-Authenticate": header})


def _bank_id(token: Token) -> str:
    if not is_name(token.bank_id):
        raise forbidden("The token names no bank")
    return token.bank_id


def is_name(text: str) -> bool:
    """Whether a claim can be a bank's or merchant's ID."""
    return 1 <= len(text) <= NAME_LENGTH_MAX and text.isprintable()


def forbidden(message: str, headers: dict[str, str] | None = None) -> Refusal:
    """403, in these words."""
    return Refusal(403, "forbidden", message, headers)


AnyCaller = TypeVar("AnyCaller", bound=Caller)


async def admit(
    request: Request, quota: Quota, check: Callable[[Token, Services], AnyCaller]
) -> AnyCaller:
    """The caller that a check makes of the request's token, counted.

    Raises:
        Refusal: 401, 403 or 429.
    """
    services = services_of(request)
    headers = [value for name, value in request.scope["headers"] if name == b"authorization"]
    state = request.scope["state"]
    state[VERIFIED] = token = await services.verifier.verify(headers)
    state[CALLER] = caller = check(token, services)
    standing = quota.take(caller.key)
    add_header(request, "RateLimit-Policy", quota.policy)
    add_header(request, "RateLimit", quota.header(standing))
    return caller


async def _bank_command(request: Request) -> Bank:
    return await admit(request, services_of(request).quotas.commands, _bank)


async def _bank_read(request: Request) -> Bank:
    return await admit(request, services_of(request).quotas.lookups, _bank)


async def _merchant_lookup(request: Request) -> Merchant:
    return await admit(request, services_of(request).quotas.lookups, _merchant)


async def _own_read(request: Request) -> User:
    def check(token: Token, services: Services) -> User:
        return _own_user(token, services, READ_OWN, REMOVE_OWN)

    return await admit(request, services_of(request).quotas.lookups, check)


async def _own_removal(request: Request) -> User:
    def check(token: Token, services: Services) -> User:
        user = _own_user(token, services, REMOVE_OWN)
        _demand_fresh_login(token, services.settings)
        return user

    return await admit(request, services_of(request).quotas.commands, check)


UserId = Annotated[
    str,
    Path(
        alias="userId",
        pattern=UUID_PATTERN,
        description="The user: the ID that `login-seen` answers.",
        json_schema_extra={"format": "uuid"},
    ),
]


async def _read_of_user(request: Request, user_id: UserId) -> User:
    def check(token: Token, services: Services) -> User:
        return _user_of_path(token, services, user_id.lower(), READ_OWN, REMOVE_OWN)

    return await admit(request, services_of(request).quotas.lookups, check)


async def _removal_of_user(request: Request, user_id: UserId) -> User:
    def check(token: Token, services: Services) -> User:
        user = _user_of_path(token, services, user_id.lower(), REMOVE_OWN)
        _demand_fresh_login(token, services.settings)
        return user

    return await admit(request, services_of(request).quotas.commands, check)


BankCaller = Annotated[Bank, Demand(_bank_command, of_caller=True)]
"""A bank that posts a command."""
BankReader = Annotated[Bank, Demand(_bank_read, of_caller=True)]
"""A bank that reads what is its own."""
MerchantCaller = Annotated[Merchant, Demand(_merchant_lookup, of_caller=True)]
"""A merchant that looks devices up."""
UserReader = Annotated[User, Demand(_own_read, of_caller=True)]
"""A user who reads the user's own devices."""
UserRemover = Annotated[User, Demand(_own_removal, of_caller=True)]
"""A user who removes an own device, after a login that is recent enough."""
ReaderOfUser = Annotated[User, Demand(_read_of_user, of_caller=True)]
"""The user whom the path names, or an admin of that user's bank, who reads."""
RemoverOfUser = Annotated[User, Demand(_removal_of_user, of_caller=True)]
"""The same, who removes, after a login that is recent enough."""
