"""Erase a customer, for good and with a receipt."""

import asyncio
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, model_validator

from api.access import note
from api.commands import IdempotencyKey, context_of, customer_of, submit_or_refuse
from api.errors import Refusal, refusal_of
from api.peere import Body, CustomerId
from api.route import GuardedRoute
from api.security.callers import SecurityLead
from api.security.fields import BankId, Reason, RequestedBy, UserId, bank_of
from api.security.problems import problems
from api.services import Services, services_of
from device_ledger.domain.customer.erase import EraseCustomer
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.erasure import finish, receipt_of
from device_ledger.keyfile import KeyLoadingError
from device_ledger.proofs import Signer
from device_ledger.proofs.receipt import sign_receipt
from device_ledger.trees.names import signer_of
from device_ledger.wire.access import CUSTOMER_ERASED
from device_ledger.wire.trail import EVENTS_LOG

router = APIRouter(prefix="/v1/security/customers", tags=["security"], route_class=GuardedRoute)


class WhomToErase(Body):
    """A customer of a bank, and why: exactly one of `customerId` and `userId`."""

    bankId: BankId | None = None  # noqa: N815 - JSON's own name
    customerId: CustomerId | None = None  # noqa: N815
    userId: UserId | None = None  # noqa: N815
    reason: Reason
    requestedBy: RequestedBy | None = None  # noqa: N815

    @model_validator(mode="after")
    def _is_one(self) -> "WhomToErase":
        if (self.customerId is None) == (self.userId is None):
            raise ValueError("customerId or userId must be there, one of them")
        return self

    def customer(self, services: Services, bank_id: str) -> CustomerRef:
        """The customer."""
        if self.userId is not None:
            return CustomerRef(bank_id, self.userId)
        return customer_of(services, bank_id, str(self.customerId))


class ErasedBy(BaseModel):
    """The token that asked for it."""

    subject: str = Field(examples=["lead-1"])
    client: str | None = Field(None, examples=["console"])


class Receipt(BaseModel):
    """What was erased, at whose wish and when."""

    ledger: str = Field(
        description="The ledger's ID.", examples=["019ab0de-0b7e-7a39-9d5b-2f9f6f5c7a42"]
    )
    bankId: str = Field(examples=["bank-1"])  # noqa: N815
    customerId: str | None = Field(None, examples=["customer-4711"])  # noqa: N815
    userId: str = Field(examples=["0f8b5c1e-9d55-8c6a-8f53-2f9f6f5c7a42"])  # noqa: N815
    actor: ErasedBy
    requestId: str = Field(examples=["019ab0de-0b7e-7a39-9d5b-2f9f6f5c7a42"])  # noqa: N815
    erasedAt: str = Field(examples=["2026-01-31T09:30:00.000Z"])  # noqa: N815
    requestedBy: str | None = Field(None, examples=["customer"])  # noqa: N815
    devices: int = Field(description="Registrations that went.", examples=[2])
    keyGeneration: int = Field(  # noqa: N815
        description="The customer's data keys up to this generation are destroyed.", examples=[1]
    )
    position: str = Field(
        description="The ledger's position that closes it: all events of the customer that it"
        " covers have a lower id.",
        examples=["48213"],
    )


class Erased(BaseModel):
    """The receipt, and the signed note that proves it."""

    receipt: Receipt
    note: str = Field(
        description="The receipt as a C2SP signed note of the log's key: keep this.",
        examples=["device-ledger erasure receipt v1\n{…}\n\n— ledger.example Az3grlgtzPICa5…\n"],
    )


@router.post(
    "/erase",
    summary="Erase a customer",
    response_model=Erased,
    response_model_exclude_none=True,
    responses=problems(
        ("There is no such customer.", refusal_of("no-such-customer")),
        413,
        ("The Idempotency-Key came with another body.", refusal_of("key-reused")),
    ),
)
async def erase(
    request: Request, lead: SecurityLead, body: WhomToErase, key: IdempotencyKey = None
) -> Response:
    """Ends all devices and links of a customer and deletes the keys that its values are sealed
    under, for ever. Again answers the same receipt."""
    services = services_of(request)
    bank_id = bank_of(lead, body.bankId)
    if bank_id is None:
        raise Refusal(400, "bad-input", "bankId is missing", field="bankId")
    signer = await asyncio.to_thread(_signer, services)
    customer = body.customer(services, bank_id)
    command = EraseCustomer(
        customer=customer,
        context=context_of(request, lead),
        key_generation=await services.vault.newest_generation(bank_id, customer.user_id),
        reason=body.reason,
        requested_by=body.requestedBy,
    )
    answer = await submit_or_refuse(request, command, lead, key)
    generation = int(answer.details["keyGeneration"])
    erasure = await finish(services.ledger, services.vault, customer, generation)
    receipt = receipt_of(erasure, services.ledger.identity)
    await note(
        request,
        lead,
        CUSTOMER_ERASED,
        "done",
        bankId=bank_id,
        customerId=erasure.customer.customer_id,
        userId=customer.user_id,
        count=erasure.ordered.devices,
        reason=body.reason,
    )
    return _answer(receipt, sign_receipt(receipt, [signer]))


def _signer(services: Services) -> Signer:
    """The log's key, asked for before anything is erased without a receipt.

    Raises:
        Refusal: 503, this installation has none.
    """
    ledger_id = services.ledger.identity.ledger_id
    try:
        signer = signer_of(services.settings, ledger_id, EVENTS_LOG)
    except KeyLoadingError:
        signer = None
    if signer is None:
        raise Refusal(503, "no-log-key", "The log's key is not here: no receipt could be signed")
    return signer


def _answer(receipt: dict[str, Any], signed: str) -> Response:
    content = orjson.dumps({"receipt": receipt, "note": signed})
    return Response(content, media_type="application/json")
