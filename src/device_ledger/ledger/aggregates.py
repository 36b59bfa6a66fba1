"""The aggregates of one attempt at a batch: loaded in bulk, moved on as commands are decided."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any
from uuid import UUID

import orjson
from eventsourcing.persistence import StoredEvent

from device_ledger.domain.claim import Claim, ClaimEvent, evolve_claim
from device_ledger.domain.customer.events import CommandRefused
from device_ledger.domain.customer.state import Customer, CustomerRef, Registration, evolve
from device_ledger.ledger.records import FactMapper, Origin, Recorded
from device_ledger.ledger.stores import CLAIM_SNAPSHOT, CUSTOMER_SNAPSHOT, LedgerRecorder, Stream

SNAPSHOT_INTERVAL = 100


class Aggregates:
    """What a batch has read, and what became of it so far.

    ``read`` has the version in the store of every aggregate that was looked at, 0 for none.
    """

    def __init__(self, recorder: LedgerRecorder, mapper: FactMapper) -> None:
        self._recorder = recorder
        self._mapper = mapper
        self.read: dict[UUID, int] = {}
        self.versions: dict[UUID, int] = {}
        self._customers: dict[UUID, Customer] = {}
        self.claims: dict[UUID, Claim] = {}

    def load(self, customers: Iterable[CustomerRef], claims: Iterable[UUID]) -> None:
        """Bring in those that aren't here, in one bulk read."""
        refs = {ref.aggregate_id: ref for ref in customers}
        # A difference of sets would walk through all that were read, once a command.
        new_customers = [one for one in refs if one not in self.read]
        new_claims = [one for one in dict.fromkeys(claims) if one not in self.read]
        if not new_customers and not new_claims:
            return
        streams = self._recorder.load([*new_customers, *new_claims])
        for originator in new_customers:
            stream = streams.get(originator, Stream())
            self._customers[originator] = self._fold_customer(refs[originator], stream)
            self._note_version(originator, stream)
        for originator in new_claims:
            stream = streams.get(originator, Stream())
            self.claims[originator] = self._fold_claim(originator, stream)
            self._note_version(originator, stream)

    def customer(self, ref: CustomerRef) -> Customer:
        """A loaded customer, who has the customer ID of the first command that tells it."""
        customer = self._customers[ref.aggregate_id]
        if customer.ref.customer_id is None:
            customer.ref = ref
        return customer

    def record(self, customer: Customer, facts: Collection[Any], origin: Origin) -> list[Recorded]:
        """Move the aggregates on by these facts; the facts at their places."""
        recorded = []
        for fact in facts:
            if isinstance(fact, ClaimEvent):
                originator = fact.claim_id
                evolve_claim(self.claims[originator], fact)
            else:
                originator = customer.aggregate_id
                evolve(customer, fact)
            self.versions[originator] += 1
            recorded.append(Recorded(originator, self.versions[originator], fact, origin))
        return recorded

    def snapshots(self) -> list[StoredEvent]:
        """Snapshots of those that have passed a multiple of the interval in this batch."""
        return [
            self._snapshot(originator, version)
            for originator, version in self.versions.items()
            if version // SNAPSHOT_INTERVAL > self.read[originator] // SNAPSHOT_INTERVAL
        ]

    def _note_version(self, originator: UUID, stream: Stream) -> None:
        last = stream.events[-1] if stream.events else stream.snapshot
        version = last.originator_version if last else 0
        self.read[originator] = self.versions[originator] = version

    def _fold_customer(self, ref: CustomerRef, stream: Stream) -> Customer:
        customer = Customer(ref)
        if stream.snapshot is not None:
            customer = read_customer(stream.snapshot.state)
        for stored in stream.events:
            recorded = self._mapper.to_domain_event(stored)
            if customer.ref.customer_id is None:
                customer.ref = recorded.origin.customer
            evolve(customer, recorded.fact)
        return customer

    def _fold_claim(self, originator: UUID, stream: Stream) -> Claim:
        claim = Claim(originator)
        if stream.snapshot is not None:
            holder = orjson.loads(stream.snapshot.state)["holder"]
            claim.holder = UUID(holder) if holder else None
        for stored in stream.events:
            evolve_claim(claim, self._mapper.to_domain_event(stored).fact)
        return claim

    def _snapshot(self, originator: UUID, version: int) -> StoredEvent:
        if originator in self.claims:
            state = orjson.dumps({"holder": self.claims[originator].holder})
            return StoredEvent(originator, version, CLAIM_SNAPSHOT, state)
        state = orjson.dumps(asdict(self._customers[originator]))
        return StoredEvent(originator, version, CUSTOMER_SNAPSHOT, state)


def read_customer(state: bytes) -> Customer:
    """The customer of a snapshot's state."""
    body = orjson.loads(state)
    return Customer(
        ref=CustomerRef(**body["ref"]),
        key_generation=body["key_generation"],
        erased_generation=body["erased_generation"],
        phrase_token=body["phrase_token"],
        devices={token: Registration(**one) for token, one in body["devices"].items()},
    )


def refusal(fact: CommandRefused, originator: UUID, origin: Origin) -> Recorded:
    """A refused command at the only place of an originator of its own."""
    return Recorded(originator, 1, fact, origin)
