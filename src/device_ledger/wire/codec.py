"""Between public events, their bytes, and Kafka records.

The ledger stores each event as the bytes of its public JSON without ``id``, because the id is
known only once the row is written. The public bytes are those bytes with the id in front: every
sender of an event gives the same ones.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import orjson
from aiokafka.partitioner import murmur2

from device_ledger.wire.events import PublicEvent

ID_MAX = (1 << 63) - 1
PREV_HEADER = "prev"
CONTENT_TYPE_HEADER = ("content-type", b"application/cloudevents+json; charset=utf-8")
"""What the Kafka binding of CloudEvents asks of a record in structured mode."""


class MalformedRecordError(ValueError):
    """A record on the topic is no event of ours; the message says why, without its content."""


def public_bytes(event_id: int, stored: bytes) -> bytes:
    """The public event of a stored one: ``id`` (a decimal string) put first."""
    return b'{"id":"%d",%b' % (event_id, stored[1:])


def decode(value: bytes) -> PublicEvent:
    """Read a public event.

    Raises:
        MalformedRecordError: these are not the bytes of a public event.
    """
    try:
        body = orjson.loads(value)
        event = PublicEvent(
            int(body["id"]),
            body["source"],
            body["type"],
            body["subject"],
            body["time"],
            body["data"],
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise MalformedRecordError(f"not a public event: {type(error).__name__}") from None
    # Whoever compares or keeps them relies on their types.
    if not (
        0 < event.id <= ID_MAX
        and type(event.source) is type(event.type) is type(event.subject) is type(event.time) is str
        and type(event.data) is dict
    ):
        raise MalformedRecordError("not a public event: a field of another type")
    return event


@lru_cache(1_024)
def partition_of(key: str, partitions: int) -> int:
    """The partition of a key, as Kafka's own clients choose it (murmur2, sign bit dropped)."""
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % partitions


class Record(NamedTuple):
    """An event as it lies on the topic: where, after which id, and what."""

    partition: int
    offset: int
    prev: int
    event: PublicEvent


def read_record(
    partition: int,
    offset: int,
    headers: Iterable[tuple[str, bytes]],
    value: bytes | None,
) -> Record:
    """Read a Kafka record of the events topic.

    Raises:
        MalformedRecordError: the value is no public event, or ``prev`` is missing or no number.
    """
    if value is None:
        raise MalformedRecordError("empty value")
    for name, prev in headers:
        if name == PREV_HEADER:
            if not prev or not prev.isdigit():
                break
            return Record(partition, offset, int(prev), decode(value))
    raise MalformedRecordError("no header prev")
