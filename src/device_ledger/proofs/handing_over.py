"""Handing a log over to another key: a checkpoint that names both keys and is signed by both.

Its line ::

    hand-over <verifier key of before> <verifier key from now on>

says that checkpoints of more leaves than this one's are signed by the second key alone. Whoever
trusts one of the two, and sees both signatures, may trust the other for its part of the log.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from device_ledger.proofs.checkpoint import (
    Checkpoint,
    CheckpointError,
    open_checkpoint,
    parse_checkpoint,
)
from device_ledger.proofs.note import (
    NoteError,
    UntrustedNoteError,
    VerifierKey,
    unverified_text,
)

HAND_OVER: Final = "hand-over "


class HandOver(NamedTuple):
    """The keys that a checkpoint hands the log over from and to."""

    before: VerifierKey
    after: VerifierKey


def hand_over_line(before: VerifierKey, after: VerifierKey) -> str:
    """The line of a checkpoint that hands its log over."""
    return f"{HAND_OVER}{before} {after}"


def hand_over_of(checkpoint: Checkpoint) -> HandOver | None:
    """What a checkpoint hands over; ``None`` where it is an ordinary one.

    Raises:
        NoteError: its line is not that of a hand-over, or of keys of another log.
    """
    lines = [line for line in checkpoint.extensions if line.startswith(HAND_OVER)]
    if not lines:
        return None
    keys = [VerifierKey.parse(text) for text in lines[0].removeprefix(HAND_OVER).split(" ")]
    if len(lines) > 1 or len(keys) != 2 or {key.name for key in keys} != {checkpoint.origin}:
        raise CheckpointError("a checkpoint's hand-over is: hand-over KEY KEY, both of its log")
    return HandOver(*keys)


@dataclass(frozen=True, slots=True)
class _Span:
    """A key, and from which to which number of leaves it signs; ``last`` is open for the newest."""

    key: VerifierKey
    first: int = 0
    last: int | None = None

    def has(self, size: int) -> bool:
        return self.first <= size and (self.last is None or size <= self.last)


class KeyChain:
    """The keys that are trusted for a log, each for its part of it."""

    def __init__(self, keys: Iterable[VerifierKey]) -> None:
        """Each of these is trusted for all of its log, until a hand-over says otherwise."""
        self._spans = [_Span(key) for key in keys]

    @property
    def keys(self) -> list[VerifierKey]:
        """All of them."""
        return [span.key for span in self._spans]

    def believe(self, key: VerifierKey) -> None:
        """Trust another key for all of its log."""
        if key not in self.keys:
            self._spans.append(_Span(key))

    def keys_at(self, size: int) -> list[VerifierKey]:
        """Those that may sign a checkpoint of so many leaves."""
        return [span.key for span in self._spans if span.has(size)]

    def open(self, note: str) -> Checkpoint:
        """A checkpoint that a key signed which was the log's at that size.

        Raises:
            UntrustedNoteError: it is signed by none, or a signature doesn't verify.
            NoteError: it is no signed checkpoint.
        """
        found = parse_checkpoint(unverified_text(note))
        return open_checkpoint(note, self.keys_at(found.size))

    def learn(self, note: str) -> bool:
        """Follow the hand-over of a checkpoint; whether there was a new one.

        One that isn't signed by both keys, or whose keys are both unknown, changes nothing.

        Raises:
            NoteError: it is no signed checkpoint, or a key handed the log over twice.
        """
        checkpoint = parse_checkpoint(unverified_text(note))
        found = hand_over_of(checkpoint)
        if found is None or not _is_signed_by_both(note, found):
            return False
        size = checkpoint.size
        known = {span.key: span for span in self._spans}
        before, after = (known.get(key, _Span(key)) for key in found)
        if (before.last, after.first) == (size, size):
            return False
        if before.last is not None or after.first != 0:
            raise UntrustedNoteError("the log was handed over to two keys, or by two")
        if not any(one.key in known and one.has(size) for one in (before, after)):
            return False
        ended = replace(before, last=size), replace(after, first=size)
        self._spans = [one for one in self._spans if one.key not in found]
        self._spans += ended
        return True

    def follow(self, notes: Iterable[str]) -> None:
        """Learn from notes in any order; those without a hand-over are passed over.

        Raises:
            NoteError: as `learn`.
        """
        told = [note for note in notes if f"\n{HAND_OVER}" in note]
        learnt = True
        while learnt:
            learnt = False
            for note in told:
                learnt = self.learn(note) or learnt


def _is_signed_by_both(note: str, found: HandOver) -> bool:
    try:
        for key in found:
            open_checkpoint(note, [key])
    except NoteError:
        return False
    return True
