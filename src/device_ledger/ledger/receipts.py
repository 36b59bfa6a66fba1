"""Receipts and answers: what makes a command that comes twice take effect once."""

from dataclasses import dataclass, field
from typing import Literal

import orjson


@dataclass(frozen=True)
class Receipt:
    """By what a command is known again.

    ``receipt_id`` and ``body_hash`` are keyed hashes: of caller, method, path and
    Idempotency-Key, and of the body. A command without a key gets a random ``receipt_id`` and
    ``keyed`` False: its receipt is kept with its events only, for retries of the commit itself.
    """

    receipt_id: str
    body_hash: str
    keyed: bool


@dataclass(frozen=True)
class Answer:
    """What a command came to. ``code`` names the refusal; ``position`` covers all before it.

    ``stale``: nothing was decided, as its values were sealed under a data key that an erasure has
    given up since; ``details`` has the ``keyGeneration`` that was.
    """

    status: Literal["done", "refused", "stale"]
    code: str = ""
    details: dict[str, str] = field(default_factory=dict)
    position: dict[int, int] = field(default_factory=dict)

    def stored(self) -> bytes:
        """The answer as its receipt keeps it: all but the position, which only grows."""
        return orjson.dumps([self.status, self.code, self.details])

    @classmethod
    def read(cls, stored: bytes) -> "Answer":
        """The answer that a receipt keeps."""
        status, code, details = orjson.loads(stored)
        return cls(status, code, details)


@dataclass(frozen=True)
class StoredReceipt:
    """A receipt's row; times are RFC 3339 text."""

    receipt_id: str
    body_hash: str
    answer: bytes
    expires_at: str

    def answer_to(self, receipt: Receipt) -> Answer:
        """What the command of a receipt of the same id is answered, without a position."""
        return Answer.read(self.answer) if self.body_hash == receipt.body_hash else KEY_REUSED


KEY_REUSED = Answer("refused", "key-reused")
"""The Idempotency-Key came before with another body."""
