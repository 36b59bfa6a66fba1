"""Access records: who looked at what, durable before the caller has the answer.

A route that shows something calls :func:`note` once all that may refuse is behind it, and answers
when it returns.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import uuid_utils
from fastapi import Request

from api.auth import Token
from api.callers import CALLER, VERIFIED, Bank, Caller, Merchant, User, is_name
from api.services import Services, services_of
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.wire.access import DEVICES_LISTED, REQUEST_REFUSED, AccessRecord, encode

Act = tuple[str, str | None, dict[str, Any]]
"""What one record tells: its outcome, its subject (a device token), more fields of its data."""


async def note(
    request: Request,
    caller: Caller | None,
    type: str,  # noqa: A002 - a record's own name for it
    outcome: str,
    *,
    subject: str | None = None,
    **data: Any,
) -> None:
    """Make an access record of this request; return once it is durable.

    ``data`` are fields of :class:`device_ledger.wire.access.Access`; those that are ``None`` are
    left out.

    Raises:
        SpoolError: it can't be kept: the request must not be answered (503).
    """
    await note_all(request, caller, type, [(outcome, subject, data)])


async def note_all(
    request: Request,
    caller: Caller | None,
    type: str,  # noqa: A002
    acts: Sequence[Act],
) -> None:
    """Make several records of one request in one flush; as :func:`note` else."""
    services = services_of(request)
    shared = _shared(request, services, caller)
    source = services.identity.source
    lines = []
    for outcome, subject, data in acts:
        record_id = uuid_utils.uuid7()
        told = {name: value for name, value in data.items() if value is not None}
        lines.append(
            encode(
                AccessRecord(
                    id=str(record_id),
                    source=source,
                    type=type,
                    subject=subject,
                    time=_rfc3339(record_id.timestamp),
                    data={"outcome": outcome} | shared | told,
                )
            )
        )
    await services.recorder.record(lines)


async def note_list(
    request: Request, caller: Bank | User, count: int, customer: CustomerRef | None
) -> None:
    """Make the access record of a list that shows so many devices, of a customer or of the bank.

    As :func:`note` else.
    """
    of_customer = (
        {"customerId": customer.customer_id, "userId": customer.user_id} if customer else {}
    )
    outcome = "found" if count else "not-found"
    whose = {"bankId": caller.bank_id, **of_customer}
    await note(request, caller, DEVICES_LISTED, outcome, **whose, count=count)


async def note_refused(request: Request, code: str, status: int) -> None:
    """Make the access record of a request that is refused; as :func:`note` else.

    It tells the caller as far as the request got: nobody, a token that was verified, a caller.
    """
    state = request.scope["state"]
    caller: Caller | None = state.get(CALLER)
    token: Token | None = state.get(VERIFIED)
    who: dict[str, Any] = {}
    if caller is not None:
        who["bankId"] = getattr(caller, "bank_id", None)
    elif token is not None:
        who["actor"] = _actor(token)
        who["bankId"] = token.bank_id if is_name(token.bank_id) else None
        who["merchantId"] = token.merchant_id if is_name(token.merchant_id) else None
    await note(request, caller, REQUEST_REFUSED, "refused", code=code, status=status, **who)


def _shared(request: Request, services: Services, caller: Caller | None) -> dict[str, Any]:
    """What all records of a request say."""
    state = request.scope["state"]
    shared: dict[str, Any] = {"requestId": state["request_id"]}
    if caller is not None:
        shared["caller"] = caller.kind
        shared["actor"] = _actor(caller)
    if isinstance(caller, Merchant):
        shared["merchantId"] = caller.merchant_id
    # A peer without an IP address (a Unix socket's) has none.
    if request.client is not None:
        with suppress(ValueError):
            shared["addressToken"] = services.peer_token(request.client.host)
    if route := request.scope.get("route"):
        shared["route"] = route.path
    return shared


def _actor(caller: Caller | Token) -> dict[str, str]:
    return {"subject": caller.subject} | ({"client": caller.client} if caller.client else {})


def _rfc3339(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    # Many records are made within one.
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]
