"""Group commit: one thread that decides all waiting commands in order and saves them at once.

A batch is up to 256 commands. Each attempt loads what the batch needs in bulk, decides command
after command on it, and appends everything in one transaction that also checks that nothing of
what was read has moved. Where something has, or the database failed, the attempt is as if it had
never been: receipts are looked up first, then everything left is decided again; after a few
attempts one command at a time, so that a contended command holds up no neighbour. An answer is
given only after the commit that it rests on.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from eventsourcing.persistence import InterfaceError, OperationalError

from device_ledger.domain.customer.command import Command
from device_ledger.ledger.attempt import Attempt, Deadline, UnavailableError
from device_ledger.ledger.receipts import Answer, Receipt
from device_ledger.ledger.records import FactMapper
from device_ledger.ledger.stores import PURGE_MAX, ConflictError, Identity, LedgerRecorder

log = logging.getLogger(__name__)

BATCH_MAX = 256
WAITING_MAX = 16_384
TRIES_TOGETHER = 3
TRY_SECONDS = 10.0
PAUSE_SECONDS = 0.05
PURGE_SECONDS = 60.0


class OverloadedError(Exception):
    """More commands are waiting than the ledger takes, or it closes; this one was not looked at."""


@dataclass(frozen=True)
class Submission:
    """A command that waits for its answer, since a time of the monotonic clock."""

    command: Command
    receipt: Receipt
    future: Future[Answer] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class GroupCommit:
    """The writer thread and its queue. ``batch_max`` 1 saves command by command."""

    def __init__(
        self,
        recorder: LedgerRecorder,
        mapper: FactMapper,
        identity: Identity,
        now: Callable[[], str],
        batch_max: int = BATCH_MAX,
    ) -> None:
        self._recorder = recorder
        self._mapper = mapper
        self._identity = identity
        self._now = now
        self._batch_max = batch_max
        self._waiting: queue.Queue[Submission | None] = queue.Queue(WAITING_MAX)
        self._door = threading.Lock()
        self._closing = False
        self._purge_at = time.monotonic() + PURGE_SECONDS
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)

    def start(self) -> None:
        """Begin to take commands."""
        self._thread.start()

    def submit(self, command: Command, receipt: Receipt) -> "Future[Answer]":
        """Queue a command; its answer comes once what it rests on is durable.

        Raises:
            OverloadedError: too many commands are waiting, or the ledger is closing.
        """
        submission = Submission(command, receipt)
        # From here on nobody can cancel it: the writer gives every answer exactly once.
        submission.future.set_running_or_notify_cancel()
        with self._door:
            if self._closing:
                raise OverloadedError
            try:
                self._waiting.put_nowait(submission)
            except queue.Full:
                raise OverloadedError from None
        return submission.future

    def close(self) -> None:
        """Take no more commands, answer all that wait, then stop."""
        with self._door:
            closing, self._closing = self._closing, True
        if not closing:
            self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            batch, is_last = self._gather()
            if batch:
                self._answer(batch)
                self._purge_at_times()

    def _gather(self) -> tuple[list[Submission], bool]:
        """Those that wait, once there is one; and whether nothing can come after them."""
        batch: list[Submission] = []
        following = self._waiting.get()
        while following is not None:
            batch.append(following)
            if len(batch) == self._batch_max or self._waiting.empty():
                return batch, False
            following = self._waiting.get()
        return batch, True

    def _answer(self, batch: Sequence[Submission]) -> None:
        deadline = Deadline(TRY_SECONDS, batch[-1].since)
        try:
            for retry in range(TRIES_TOGETHER):
                if self._try(batch, deadline, retry=retry > 0):
                    return
        except UnavailableError as error:
            for submission in batch:
                submission.future.set_exception(error)
            return
        except Exception as error:  # noqa: BLE001 - one command's fault is not its neighbours'
            log.error("a batch failed: %s", type(error).__name__)  # noqa: TRY400 - no values in logs
        deadline = Deadline(TRY_SECONDS, time.monotonic())
        for submission in batch:
            if not submission.future.done():
                self._answer_alone(submission, deadline)

    def _answer_alone(self, submission: Submission, deadline: Deadline) -> None:
        try:
            while not self._try([submission], deadline, retry=True):
                deadline.check("the command met a conflict each time")
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            log.error("a command failed: %s", type(error).__name__)  # noqa: TRY400
            submission.future.set_exception(error)

    def _try(self, batch: Sequence[Submission], deadline: Deadline, *, retry: bool) -> bool:
        """One attempt; True when all are answered, False after a conflict."""
        while True:
            try:
                attempt = Attempt(self._recorder, self._mapper, self._identity, self._now())
                attempt.decide([(one.command, one.receipt) for one in batch], retry=retry)
                position = attempt.append()
            except ConflictError:
                return False
            except (OperationalError, InterfaceError) as error:
                log.warning("the event store failed: %s", type(error).__name__)
                deadline.check("the event store can't be reached")
                retry = True
                deadline.pause(PAUSE_SECONDS)
            else:
                break
        for submission, answer in zip(batch, attempt.answers, strict=True):
            submission.future.set_result(replace(answer, position=position))
        self._take_snapshots(attempt)
        return True

    def _take_snapshots(self, attempt: Attempt) -> None:
        try:
            snapshots = attempt.aggregates.snapshots()
            if snapshots:
                self._recorder.add_snapshots(snapshots)
        except Exception as error:  # noqa: BLE001 - the answers were given; the writer goes on
            log.warning("snapshots were not taken: %s", type(error).__name__)

    def _purge_at_times(self) -> None:
        """Delete expired receipts, after each batch for as long as many are left."""
        if time.monotonic() < self._purge_at:
            return
        purged = 0
        try:
            purged = self._recorder.purge_receipts(self._now())
        except Exception as error:  # noqa: BLE001 - the writer goes on
            log.warning("expired receipts were not deleted: %s", type(error).__name__)
        if purged < PURGE_MAX:
            self._purge_at = time.monotonic() + PURGE_SECONDS
