"""One attempt at a batch: from what is stored now to what would be written."""

import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import uuid4

from eventsourcing.persistence import StoredEvent

from device_ledger.domain.customer.command import Command
from device_ledger.domain.customer.events import CommandRefused
from device_ledger.domain.errors import KeyGivenUpError, RefusedError
from device_ledger.ledger.aggregates import Aggregates, refusal
from device_ledger.ledger.receipts import Answer, Receipt, StoredReceipt
from device_ledger.ledger.records import FactMapper, Origin, Recorded
from device_ledger.ledger.stores import Identity, LedgerRecorder, Unit
from device_ledger.wire.codec import partition_of

KEYED_KEPT = timedelta(hours=24)
UNKEYED_KEPT = timedelta(minutes=10)


class UnavailableError(Exception):
    """The event store didn't take the command in time: whether it holds it isn't known."""


class Deadline:
    """Until when to try: so many seconds after a time of the monotonic clock."""

    def __init__(self, seconds: float, since: float) -> None:
        self._end = since + seconds
        self._pause = threading.Event()

    def check(self, reason: str) -> None:
        """Go on while there is time.

        Raises:
            UnavailableError: the time has run out.
        """
        if time.monotonic() >= self._end:
            raise UnavailableError(reason)

    def pause(self, seconds: float) -> None:
        """Wait before the next try."""
        self._pause.wait(seconds)


class Attempt:
    """Decides a batch in order. ``answers`` are in the batch's order, to be given after append."""

    def __init__(
        self, recorder: LedgerRecorder, mapper: FactMapper, identity: Identity, now: str
    ) -> None:
        self._recorder = recorder
        self._mapper = mapper
        self._identity = identity
        self._now = now
        self.aggregates = Aggregates(recorder, mapper)
        self.answers: list[Answer] = []
        self._events: list[StoredEvent] = []
        self._partitions: list[int | None] = []
        self._known: dict[str, StoredReceipt] = {}
        self._receipts: list[StoredReceipt] = []

    def decide(self, batch: Sequence[tuple[Command, Receipt]], *, retry: bool) -> None:
        """Find the answer of each command.

        On a retry every receipt is looked up, also those without a key: the attempt before may
        have been committed although it looked as if it weren't.
        """
        asked = [receipt.receipt_id for _, receipt in batch if receipt.keyed or retry]
        if asked:
            self._known = self._recorder.receipts(asked, self._now)
        fresh = [command for command, receipt in batch if receipt.receipt_id not in self._known]
        self.aggregates.load(
            (command.customer for command in fresh),
            (claim for command in fresh for claim in command.claims(None)),
        )
        for command, receipt in batch:
            self.answers.append(self._answer(command, receipt))

    def append(self) -> dict[int, int]:
        """Write what was decided, or nothing; the ledger's position then.

        Raises:
            ConflictError: something that was read has moved.
            PersistenceError: the database failed; whether it has committed is not known.
        """
        unit = Unit(self.aggregates.read, self._events, self._partitions, self._receipts, self._now)
        return self._recorder.append(unit)

    def _answer(self, command: Command, receipt: Receipt) -> Answer:
        kept = self._known.get(receipt.receipt_id)
        if kept is not None:
            return kept.answer_to(receipt)
        before = len(self._events)
        answer = self._decide(command)
        is_kept = receipt.keyed and answer.status != "stale"
        if is_kept or len(self._events) > before:
            self._keep(receipt, answer)
        return answer

    def _decide(self, command: Command) -> Answer:
        customer = self.aggregates.customer(command.customer)
        self.aggregates.load((), command.claims(customer))
        origin = Origin(customer.ref, command.context, self._now)
        try:
            facts = command.decide(customer, self.aggregates.claims)
        except RefusedError as refused:
            fact = CommandRefused(command.subject_token, command.name, refused.code)
            self._add([refusal(fact, uuid4(), origin)])
            return Answer("refused", refused.code)
        except KeyGivenUpError as given_up:
            return Answer("stale", details={"keyGeneration": str(given_up.generation)})
        self._add(self.aggregates.record(customer, facts, origin))
        return Answer("done", details=command.details(customer))

    def _add(self, recorded: Sequence[Recorded]) -> None:
        for one in recorded:
            self._events.append(self._mapper.to_stored_event(one))
            self._partitions.append(self._partition(one.subject))

    def _partition(self, subject: str | None) -> int | None:
        return None if subject is None else partition_of(subject, self._identity.partitions)

    def _keep(self, receipt: Receipt, answer: Answer) -> None:
        kept_for = KEYED_KEPT if receipt.keyed else UNKEYED_KEPT
        kept = StoredReceipt(
            receipt.receipt_id, receipt.body_hash, answer.stored(), later(self._now, kept_for)
        )
        self._known[receipt.receipt_id] = kept
        self._receipts.append(kept)


@lru_cache(8)
def later(time_text: str, by: timedelta) -> str:
    """An RFC 3339 time with milliseconds, moved on."""
    moved = datetime.fromisoformat(time_text) + by
    return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")
