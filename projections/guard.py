"""The guard: which records of a batch take effect, given where a read model stands.

Each event names the one before it in its partition (``prev``), so a reader knows by itself
whether a record comes next, came already, or comes too early; Kafka's offsets are a hint only.

The other topics have no such chain. There a record's offset is its id, and its bytes are what
it is known by again (`by_offset`): a topic that was made anew holds other bytes at the offset that
the read model stands at, or nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, TypeGuard

from device_ledger.wire.codec import MalformedRecordError, Record, read_record
from device_ledger.wire.events import PublicEvent


class KafkaRecord(NamedTuple):
    """A record of a topic as it came."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that is no event of ours, or one that can't be applied, and why.

    ``unfit``: it was read, and a read model couldn't apply it; another one may.
    """

    raw: KafkaRecord
    reason: str
    unfit: bool = False


Parse = Callable[[KafkaRecord], Record | Malformed]
"""How the records of a topic are read."""

Wanted = Callable[[Record], bool]
"""Whether a record that takes effect is of use to the read model."""


class Standing(NamedTuple):
    """Where a read model stands in a partition.

    ``last_id``, ``last_offset`` and ``source`` are those of the last event applied (without a
    chain: one more than its offset, and the hash of its bytes); ``next_offset`` is the first
    offset that was not looked at.
    """

    last_id: int = 0
    last_offset: int = -1
    next_offset: int = 0
    source: str = ""


class BrokenChainError(RuntimeError):
    """The topic itself lacks an event: nothing can be applied after it."""


class HistoryChangedError(RuntimeError):
    """The topic tells another history than the one that the read model was built from."""


@dataclass(slots=True)
class Sifted:
    """What a batch comes to."""

    standings: dict[int, Standing]
    records: list[tuple[KafkaRecord, Record]] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)
    gaps: set[int] = field(default_factory=set)
    holes: set[int] = field(default_factory=set)


def parse(raw: KafkaRecord) -> Record | Malformed:
    """Read a record of the events topic, or say why it can't be read."""
    try:
        return read_record(raw.partition, raw.offset, raw.headers, raw.value)
    except MalformedRecordError as error:
        return Malformed(raw, str(error))


def by_offset(raw: KafkaRecord) -> Record | Malformed:
    """A record of a topic without a chain: its offset gives its id, its bytes' hash its source.

    What it says is left to whoever reads its bytes.
    """
    if raw.value is None:
        return Malformed(raw, "empty value")
    source = sha256(raw.value).hexdigest()[:16]
    event = PublicEvent(raw.offset + 1, source, type="", subject="", time="", data={})
    return Record(raw.partition, raw.offset, raw.offset, event)


def sift(
    standings: Mapping[int, Standing],
    batch: Iterable[KafkaRecord],
    *,
    trusted: bool,
    holes: Collection[int] = (),
    parse: Parse = parse,
    chained: bool = True,
    wanted: Wanted = lambda _: True,
) -> Sifted:
    """Split a batch into what takes effect and the rest, and say where that leads.

    ``trusted`` is true for records that were read one after the other from the topic itself,
    starting at the event that the read model stands at (or at the beginning); a stream's
    records are not, since they may be old or leave some out. ``holes`` are the partitions
    where such a reading passed a malformed record since the last event: that may have been
    the one that the next event follows. Where the topic is not ``chained``, what comes next lies
    at the offset that was not looked at yet, or after it in a reading of the topic. What is not
    ``wanted`` moves the standings and is not kept: a large batch costs most where it lies in
    memory.

    Raises:
        HistoryChangedError: the event at the read model's position has another source.
    """
    result = Sifted(dict(standings), holes=set(holes))
    for raw in batch:
        if raw.partition not in result.gaps:
            item = parse(raw)
            if _takes_effect(item, result, raw, trusted, chained) and wanted(item):
                result.records.append((raw, item))
    return result


def _takes_effect(
    item: Record | Malformed, result: Sifted, raw: KafkaRecord, trusted: bool, chained: bool
) -> TypeGuard[Record]:
    at = result.standings[raw.partition]
    if isinstance(item, Malformed):
        if raw.offset >= at.next_offset:
            result.malformed.append(item)
        if trusted:
            result.holes.add(raw.partition)
        result.standings[raw.partition] = _looked_at(at, raw.offset, trusted)
    elif item.event.id <= at.last_id:
        result.standings[raw.partition] = _repeated(at, item, trusted)
    elif not _comes_next(at, item, trusted, result.holes, chained):
        result.gaps.add(raw.partition)
    else:
        result.holes.discard(raw.partition)
        result.standings[raw.partition] = Standing(
            item.event.id, raw.offset, raw.offset + 1, item.event.source
        )
        return True
    return False


def _comes_next(
    at: Standing, record: Record, trusted: bool, holes: set[int], chained: bool
) -> bool:
    if not chained:
        return trusted or record.offset == at.next_offset
    if trusted:
        return record.prev == at.last_id or (record.partition in holes and record.prev > at.last_id)
    # Another source is another epoch of the ledger: look at the topic before going on.
    return record.prev == at.last_id and at.source in {"", record.event.source}


def _repeated(at: Standing, record: Record, trusted: bool) -> Standing:
    if record.event.id == at.last_id:
        if record.event.source != at.source:
            raise HistoryChangedError(
                f"partition {record.partition}: event {at.last_id} is not the one applied"
            )
        if trusted and record.offset < at.last_offset:
            # The topic was made anew: what was looked at counts from here.
            return at._replace(last_offset=record.offset, next_offset=record.offset + 1)
        at = at._replace(last_offset=record.offset) if trusted else at
    return _looked_at(at, record.offset, trusted)


def _looked_at(at: Standing, offset: int, trusted: bool) -> Standing:
    if offset == at.next_offset or (trusted and offset > at.next_offset):
        return at._replace(next_offset=offset + 1)
    return at
