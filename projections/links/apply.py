"""What an event makes of a device's row in its bank's list."""

import re
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from device_ledger.wire import events
from device_ledger.wire.events import PublicEvent
from projections.model import Folded


class Link(NamedTuple):
    """A linked device; model and brand are lower-cased, ``search_text`` is what a search sees.

    ``grams`` has that text cut for an index: the bank's mark, then what begins at each character,
    a space between them.
    """

    device_token: str
    bank_id: str
    customer_id: str
    user_id: str
    registration_id: str
    key_generation: int
    sealed_device_id: str
    phrase_token: str
    sealed_phrase: str
    linked_at: str
    model: str
    brand: str
    search_text: str
    grams: str


GRAM = 6
"""Characters of a gram: of ten million UUIDs 20 have one of six, 80,000 one of three."""

_SPACES = re.compile(r"[\0-\x20\x7f]")

_TYPES = {
    events.DEVICE_LINKED,
    events.DEVICE_UNLINKED,
    events.DEVICE_LOGIN_SEEN,
    events.DEVICE_DEACTIVATED,
    events.DEVICE_ERASED,
}


def key_of(event: PublicEvent) -> str | None:
    """The device token, for the events that make, describe or end a link."""
    return event.subject if event.type in _TYPES else None


def apply(row: Link | None, event: PublicEvent) -> Link | None:
    """The device's row after the event; only its own customer's events change or end it."""
    data = event.data
    if event.type == events.DEVICE_LINKED:
        return _linked(event.subject, data)
    if row is None or (row.bank_id, row.user_id) != (data["bankId"], data["userId"]):
        return row
    if event.type == events.DEVICE_LOGIN_SEEN:
        return _described(row, data["info"]) if data.get("info") else row
    return None


def _linked(device_token: str, data: dict[str, Any]) -> Link:
    row = Link(
        device_token=device_token,
        bank_id=data["bankId"],
        customer_id=data["customerId"],
        user_id=data["userId"],
        registration_id=data["registrationId"],
        key_generation=data["keyGeneration"],
        sealed_device_id=data["sealedDeviceId"],
        phrase_token=data["phraseToken"],
        sealed_phrase=data["sealedPhrase"],
        linked_at=data["linkedAt"],
        model="",
        brand="",
        search_text="",
        grams="",
    )
    return _described(row, data.get("info", {}))


def _described(row: Link, info: dict[str, str]) -> Link:
    model, brand = info.get("model", "").lower(), info.get("brand", "").lower()
    # A line each, so that no search matches across two of them.
    lines = (row.customer_id.lower(), model, brand)
    grams = dict.fromkeys(gram for line in lines for gram in grams_of(line))
    return row._replace(
        model=model,
        brand=brand,
        search_text="\n".join(lines),
        grams=" ".join([bank_mark(row.bank_id), *grams]),
    )


def grams_of(line: str) -> list[str]:
    """What begins at each character of a line: ``GRAM`` characters, or those that are left.

    So a part of a line that is no longer than that begins one of them. Spaces and line ends, which
    keep grams apart, are written as another character, and so is NUL, which ends a text.
    """
    if not line.isprintable() or " " in line:
        line = _SPACES.sub("\ufffc", line)
    return [line[at : at + GRAM] for at in range(len(line))]


@lru_cache(maxsize=1024)
def bank_mark(bank_id: str) -> str:
    """Three characters that no text has (private use), for an index of parts of lines.

    A search for them and the word finds only this bank's rows (and once in a great while
    another's, which are then left out), so its cost doesn't grow with other banks.
    """
    digest = int.from_bytes(sha256(bank_id.encode()).digest()[:8])
    return "".join(chr(0xE000 + digest // 6400**place % 6400) for place in range(3))


MODEL = Folded(
    name="links",
    table="links",
    row=Link,
    folder=Path(__file__).parent,
    key_of=key_of,
    apply=apply,
    counted_by="bank_id",
)
