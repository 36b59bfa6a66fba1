"""How far the relay is: what it says on the progress topic, one to four times a second."""

from dataclasses import dataclass

import orjson

from device_ledger.wire.codec import MalformedRecordError


@dataclass(frozen=True, slots=True)
class Progress:
    """Every event up to the id ``position`` is on the events topic, and every event recorded at or
    before ``through`` (RFC 3339, UTC, milliseconds), as far as the relay can know.

    ``through`` may step back when another relay takes over, or the topic is filled anew: what was
    true stays true, so a reader keeps the latest.
    """

    position: int
    through: str


def encode(progress: Progress) -> bytes:
    """The value of a record of the progress topic."""
    return orjson.dumps(progress)


def decode(value: bytes | None) -> Progress:
    """Read the value of a record of the progress topic.

    Raises:
        MalformedRecordError: it is no progress.
    """
    try:
        body = orjson.loads(value or b"")
        return Progress(int(body["position"]), str(body["through"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise MalformedRecordError(f"not a progress record: {type(error).__name__}") from None
