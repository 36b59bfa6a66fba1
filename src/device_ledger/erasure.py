"""Erasures end in the vault: events first, then the customer's data keys are deleted for ever.

What the ledger has ordered is done whatever happens in between: by whoever comes next, be it the
caller again, a command of the customer or the start of an API.
"""

import asyncio
import logging
from typing import Any

from device_ledger.domain.customer.state import CustomerRef
from device_ledger.ledger.erasures import Erasure, erasure_of, pages_of_erasures
from device_ledger.ledger.ledger import Ledger
from device_ledger.ledger.stores import Identity
from device_ledger.vault.vault import Vault

log = logging.getLogger(__name__)


async def finish(ledger: Ledger, vault: Vault, customer: CustomerRef, generation: int) -> Erasure:
    """Delete the keys that an erasure has given up; what the ledger holds of that erasure.

    Raises:
        PersistenceError: the event store can't be read.
        VaultStoreError: the vault's store can't be used.
    """
    await vault.erase(customer.bank_id, customer.user_id, generation)
    return await asyncio.to_thread(erasure_of, ledger.events, customer, generation)


def receipt_of(erasure: Erasure, identity: Identity) -> dict[str, Any]:
    """What a receipt says of an erasure: the same for ever, and fit for the customer's eyes."""
    customer, ordered, context = erasure.customer, erasure.ordered, erasure.context
    told = {
        "ledger": identity.ledger_id,
        "bankId": customer.bank_id,
        "customerId": customer.customer_id,
        "userId": customer.user_id,
        "actor": {"subject": context.subject}
        | ({"client": context.client} if context.client else {}),
        "requestId": context.request_id,
        "erasedAt": erasure.recorded_at,
        "requestedBy": ordered.requested_by,
        "devices": ordered.devices,
        "keyGeneration": ordered.key_generation,
        "position": str(erasure.position),
    }
    return {name: value for name, value in told.items() if value is not None}


def complete(ledger: Ledger, vault: Vault) -> int:
    """Delete every key that an erasure has given up and that is there, as after a crash or after
    a vault was restored; for how many customers there was one.

    Raises:
        PersistenceError: the event store can't be read.
        VaultStoreError: the vault's store can't be used.
    """
    completed = 0
    for page in pages_of_erasures(ledger.events):
        erased = {
            (one.customer.bank_id, one.customer.user_id): one.ordered.key_generation for one in page
        }
        completed += vault.erase_again(erased)
    # A crash may have come between a deletion and the end of what it left beside the tables.
    vault.scrub()
    if completed:
        log.warning("completed the erasure of %d customers", completed)
    return completed
