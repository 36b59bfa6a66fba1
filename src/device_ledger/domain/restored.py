"""What the ledger tells of itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LedgerRestored:
    """The event store was restored from a copy, and an epoch begins: what a partition had after
    the event ``after`` (decimal, 0 for none) is not part of history any more, if there was any.

    There is one for each partition; ``subject_token`` is of no device and lies in that partition.
    """

    subject_token: str
    epoch: int
    after: str
    reason: str
