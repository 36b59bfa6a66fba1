"""From a verified request to the ledger: the part that all commands share."""

import asyncio
import secrets
import uuid
from collections.abc import Callable
from typing import Annotated, Final

from eventsourcing.persistence import PersistenceError
from fastapi import Header, Request

from api.backlog import full
from api.callers import Caller
from api.errors import refusal_of
from api.route import add_header
from api.services import Services, services_of
from device_ledger.domain.customer.command import Command, Context, Device
from device_ledger.domain.customer.state import CustomerRef
from device_ledger.ledger.attempt import UnavailableError
from device_ledger.ledger.ledger import utc_now
from device_ledger.ledger.receipts import Answer, Receipt
from device_ledger.vault.sealing import seal

LEDGER_POSITION: Final = "Ledger-Position"
SEALED_TRIES: Final = 5
"""How often a command is sealed and decided at most; each time more takes another erasure."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key and body within 24 hours get the first answer again and write"
        " nothing; the same key with another body is refused with 422.",
        examples=["7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42"],
    ),
]


class Sealer:
    """Seals one customer's values under the customer's key, which is durable by then."""

    def __init__(self, services: Services, ref: CustomerRef, generation: int, key: bytes) -> None:
        self._tokens = services.tokens
        self._ref = ref
        self._generation = generation
        self._key = key

    @classmethod
    async def of(cls, services: Services, ref: CustomerRef) -> "Sealer":
        """The sealer of a customer, whose key is made where there is none.

        Raises:
            VaultStoreError: the vault is away.
        """
        key = await services.vault.data_key(ref.bank_id, ref.user_id)
        return cls(services, ref, key.generation, key.key)

    def seal(self, field: str, value: str) -> str:
        """A value sealed as that field of this customer."""
        return seal(self._key, field, self._ref.bank_id, self._ref.user_id, value)

    def device(self, device_id: str) -> Device:
        """A device as commands name it."""
        return Device(
            token=self._tokens.device(device_id),
            sealed_id=self.seal("deviceId", device_id),
            key_generation=self._generation,
            new_registration_id=str(uuid.uuid4()),
        )


def customer_of(services: Services, bank_id: str, customer_id: str) -> CustomerRef:
    """A bank's customer by the customer's ID."""
    return CustomerRef(bank_id, services.tokens.user_id(bank_id, customer_id), customer_id)


def context_of(request: Request, caller: Caller) -> Context:
    """Who asks, under which request ID, and when: now."""
    request_id = request.scope["state"]["request_id"]
    return Context(caller.subject, caller.client or None, request_id, utc_now())


async def submit(
    request: Request, command: Command, caller: Caller, idempotency_key: str | None = None
) -> Answer:
    """What the ledger answers; the response gets the position that the answer rests on.

    Raises:
        Refusal: 503, Kafka lacks too many events, and the command is new.
        OverloadedError, UnavailableError: the ledger can't take it now.
    """
    services = services_of(request)
    receipt = await _receipt(request, services, caller, idempotency_key)
    if services.backlog.is_full:
        answer = await _kept(services, receipt)
    else:
        # Shielded: a request that is given up must not cancel what the writer thread will answer.
        answer = await asyncio.shield(asyncio.wrap_future(services.ledger.submit(command, receipt)))
    add_header(request, LEDGER_POSITION, services.positions.encode(answer.position))
    return answer


async def submit_or_refuse(
    request: Request, command: Command, caller: Caller, idempotency_key: str | None = None
) -> Answer:
    """The answer of a command that was done.

    Raises:
        Refusal: the domain or the receipts refused it, or as `submit`.
        OverloadedError, UnavailableError: the ledger can't take it now.
    """
    answer = await submit(request, command, caller, idempotency_key)
    if answer.status == "refused":
        raise refusal_of(answer.code)
    return answer


async def submit_sealed(
    request: Request,
    build: Callable[[Sealer], Command],
    customer: CustomerRef,
    caller: Caller,
    idempotency_key: str | None = None,
) -> Answer:
    """As ``submit_or_refuse``, for a command that carries values sealed for its customer.

    Where the customer was erased since they were sealed, they are sealed again under the next
    key, and decided again.
    """
    services = services_of(request)
    if services.backlog.is_full:
        # Before a key is made for a customer who isn't there yet.
        await _kept(services, await _receipt(request, services, caller, idempotency_key))
    for _ in range(SEALED_TRIES):
        command = build(await Sealer.of(services, customer))
        answer = await submit_or_refuse(request, command, caller, idempotency_key)
        if answer.status != "stale":
            return answer
        # Whoever erased may not be through, or never come to it: there is no next key before.
        given_up = int(answer.details["keyGeneration"])
        await services.vault.erase(customer.bank_id, customer.user_id, given_up)
    raise UnavailableError("the customer was erased each time")


async def _kept(services: Services, receipt: Receipt) -> Answer:
    """The answer that a command got before, while no new one is taken.

    Raises:
        Refusal: 503, it is a new one.
    """
    try:
        kept = await asyncio.to_thread(services.ledger.kept, receipt)
    except PersistenceError:
        kept = None
    if kept is None:
        raise full()
    return kept


async def _receipt(
    request: Request, services: Services, caller: Caller, idempotency_key: str | None
) -> Receipt:
    if idempotency_key is None:
        return Receipt(secrets.token_urlsafe(32), "", keyed=False)
    who = f"{caller.key}\0{caller.subject}"
    path = request.scope["path"]
    receipt_id = services.tokens.receipt(who, request.method, path, idempotency_key)
    return Receipt(receipt_id, services.tokens.body(await request.body()), keyed=True)
