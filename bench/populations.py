"""Read models of many links, made once and kept: what costs at each size are measured on.

The rows are those that each read model's own ``apply`` makes of events; only the way in differs. A
generation is made as any other, its indexes are put off, the rows go in as they come, and then the
indexes are made at once: ten million rows take minutes so, where a live read model takes hours.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from device_ledger.vault.encoding import to_text
from device_ledger.wire.events import DEVICE_LINKED, PublicEvent
from projections.guard import Standing
from projections.model import Folded

BANK: Final = "bank-1"
PARTITIONS: Final = 12
EACH: Final = 4
"""Devices of a customer."""
MODELS_SOLD: Final = 50
BRAND: Final = "Google"
"""Every device's: a search for it finds them all."""
CHUNK: Final = 20_000
_START: Final = datetime(2026, 1, 5, tzinfo=UTC)
_SOURCE: Final = "urn:device-ledger:bench:1"


def cache_folder() -> Path:
    """Where populations are kept: ``DEVICE_LEDGER_BENCH_CACHE``, else below the temporary folder.

    At ten million links they take some 30 GB, and are made in the better part of an hour.
    """
    return Path(
        os.environ.get("DEVICE_LEDGER_BENCH_CACHE")
        or Path(tempfile.gettempdir(), "device-ledger-bench")
    )


@dataclass(frozen=True, slots=True)
class Person:
    """A customer of the bank."""

    customer_id: str
    user_id: str
    phrase_token: str
    sealed_phrase: str


def device_token(number: int) -> str:
    """The token of a device: random, but the same in each run."""
    return to_text(_random("device", number, 32))


def person(number: int) -> Person:
    """A customer, whose pseudonym is a UUID as banks use them."""
    content = _random("customer", number, 64)
    phrase = to_text(content[32:])
    sealed = to_text(content + content[:-4])
    return Person(str(UUID(bytes=content[:16])), str(UUID(bytes=content[16:32])), phrase, sealed)


def linked_at(number: int) -> str:
    """When a device was linked: two at a time, a millisecond after the two before."""
    at = _START + timedelta(milliseconds=number // 2)
    return f"{at.isoformat(timespec='milliseconds')[:-6]}Z"


def linked(count: int) -> Iterator[PublicEvent]:
    """Links of so many devices, in the order of time."""
    for number in range(count):
        if number % EACH == 0:
            who = person(number // EACH)
        token = device_token(number)
        at = linked_at(number)
        data = {
            "bankId": BANK,
            "customerId": who.customer_id,
            "userId": who.user_id,
            "registrationId": f"{who.user_id[:-4]}{number % EACH:04}",
            "keyGeneration": 1,
            # As long as a device ID of 36 characters, sealed.
            "sealedDeviceId": token + token,
            "phraseToken": who.phrase_token,
            "sealedPhrase": who.sealed_phrase,
            "linkedAt": at,
            "info": {"model": f"Pixel {number % MODELS_SOLD}", "brand": BRAND},
        }
        yield PublicEvent(number + 1, _SOURCE, DEVICE_LINKED, token, at, data)


class Rows:
    """The rows that a read model makes of events of different devices, in chunks.

    ``counts`` and ``standings`` are what belongs to the rows given so far.
    """

    def __init__(self, model: Folded, told: Iterable[PublicEvent]) -> None:
        self._model = model
        self._told = iter(told)
        self._offsets: Counter[int] = Counter()
        self.counts: Counter[tuple[str, int]] = Counter()
        self.standings: dict[int, Standing] = {}

    def __iter__(self) -> Iterator[list[Any]]:
        while chunk := [self._row(event) for event in islice(self._told, CHUNK)]:
            yield chunk

    def _row(self, event: PublicEvent) -> Any:
        partition = event.id % PARTITIONS
        offset = self._offsets[partition]
        self._offsets[partition] += 1
        self.standings[partition] = Standing(event.id, offset, offset + 1, event.source)
        row = self._model.apply(None, event)
        if self._model.counted_by:
            self.counts[getattr(row, self._model.counted_by), partition] += 1
        return row


def _random(kind: str, number: int, size: int) -> bytes:
    return blake2b(number.to_bytes(8), digest_size=size, person=kind.encode()).digest()
