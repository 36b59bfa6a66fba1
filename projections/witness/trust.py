"""Whom the witness believes: keys that it was given or saw first, and those that follow them."""

import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from aiokafka import ConsumerRecord

from device_ledger.proofs import (
    KeyChain,
    NoteError,
    VerifierKey,
    hand_over_of,
    open_checkpoint,
    parse_checkpoint,
    unverified_text,
)
from device_ledger.trees.names import epoch_of, log_of
from device_ledger.wire.topics import VERIFIER_KEY_HEADER

log = logging.getLogger(__name__)


class Trust:
    """The keys of each log, as far as its checkpoints have led."""

    def __init__(self, given: list[VerifierKey], state: dict[str, Any]) -> None:
        """``given`` are those that settings name; without, the first that a log shows counts."""
        self._given = given
        self._seen: dict[str, str] = state["keys"]
        self._hand_overs: dict[str, list[str]] = state.get("handOvers", {})
        self._chains: dict[str, KeyChain] = {}

    def state(self) -> dict[str, Any]:
        """What a new process goes on from."""
        return {"keys": self._seen, "handOvers": self._hand_overs}

    def of(self, name: str, record: "ConsumerRecord[bytes, bytes]") -> KeyChain:
        """The keys of a log: those given or the first that it showed, those that they handed the
        log over to, and the same keys under the names that they have in a later epoch.

        Raises:
            NoteError: there is none.
        """
        shown = dict(record.headers).get(VERIFIER_KEY_HEADER, b"").decode(errors="replace")
        if name not in self._chains:
            chain = KeyChain(self._given or [self._first(name, record, shown)])
            for note in self._hand_overs.get(name, []):
                _follow_epochs(chain, hand_over_of(parse_checkpoint(unverified_text(note))) or ())
                chain.learn(note)
            self._chains[name] = chain
        with suppress(NoteError):
            _follow_epochs(self._chains[name], (VerifierKey.parse(shown),))
        return self._chains[name]

    def follow(self, name: str, note: str) -> bool:
        """Believe the next key where a good checkpoint hands its log over; false where it says so
        wrongly."""
        try:
            if self._chains[name].learn(note):
                self._hand_overs.setdefault(name, []).append(note)
                log.warning("the witness follows the hand-over of the %s log", name)
        except NoteError:
            return False
        return True

    def _first(self, name: str, record: "ConsumerRecord[bytes, bytes]", shown: str) -> VerifierKey:
        if name not in self._seen:
            key = VerifierKey.parse(shown)
            open_checkpoint((record.value or b"").decode(), [key])
            self._seen[name] = shown
            log.warning("the witness believes %s from now on", shown)
        return VerifierKey.parse(self._seen[name])


def _follow_epochs(chain: KeyChain, keys: Iterable[VerifierKey]) -> None:
    """Believe those keys that are believed ones, for the same log in a later epoch."""
    for key in keys:
        if any(_succeeds(key, one) for one in chain.keys):
            chain.believe(key)


def _succeeds(key: VerifierKey, before: VerifierKey) -> bool:
    """Whether a key is the same one, for the same log in a later epoch of the ledger."""
    (ledger_id, epoch), (its_ledger_id, its_epoch) = epoch_of(key.name), epoch_of(before.name)
    same_log = ledger_id == its_ledger_id and log_of(key.name) == log_of(before.name)
    return key.public == before.public and same_log and epoch > its_epoch
