"""Making an archive of a history that never was on a topic."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import orjson

from device_ledger.wire.codec import PREV_HEADER, partition_of
from projections.archive.compact import compact
from projections.archive.models import ACCESS_ARCHIVE, EVENTS_ARCHIVE
from projections.archive.store import ArchiveStore
from projections.guard import KafkaRecord, sift
from projections.model import Appended

_BATCH = 10_000


def write_archive(
    archive: Path, events: Iterable[bytes], access: Iterable[bytes] = (), *, partitions: int = 8
) -> None:
    """Write an archive as the detector would have: public events in the order of their ids, and
    access records in that of their topic, as the exact bytes of each.

    An archive that is there is put aside.

    Raises:
        StoreInUseError: another process writes there.
        MalformedRecordError: these are not the bytes of events, or of access records.
    """
    store = ArchiveStore(archive)
    with store.writing():
        _write(store, EVENTS_ARCHIVE, _records_of_events(events, partitions), partitions)
        _write(store, ACCESS_ARCHIVE, _records_of_access(access), 1)
    for model in (EVENTS_ARCHIVE, ACCESS_ARCHIVE):
        compact(archive / model.table, today="9999", kept_seconds=0)


def _write(
    store: ArchiveStore, model: Appended, records: Iterator[KafkaRecord], partitions: int
) -> None:
    generation = store.open(model, store.create(model, partitions), live=False)
    while batch := list(islice(records, _BATCH)):
        with generation.transaction(range(partitions)) as transaction:
            sifted = sift(
                transaction.standings,
                batch,
                trusted=True,
                parse=model.parse,
                chained=model.chained,
            )
            for raw, record in sifted.records:
                transaction.append(model.rows_of(raw, record.event))
            transaction.move(sifted.standings)


def _records_of_events(events: Iterable[bytes], partitions: int) -> Iterator[KafkaRecord]:
    """As the relay would have sent them."""
    last = dict.fromkeys(range(partitions), "0")
    ends = dict.fromkeys(range(partitions), 0)
    for exact in events:
        told = orjson.loads(exact)
        partition = partition_of(told["subject"], partitions)
        headers = ((PREV_HEADER, last[partition].encode()),)
        yield KafkaRecord(partition, ends[partition], None, exact, headers)
        last[partition] = told["id"]
        ends[partition] += 1


def _records_of_access(lines: Iterable[bytes]) -> Iterator[KafkaRecord]:
    for offset, line in enumerate(lines):
        yield KafkaRecord(0, offset, None, line, ())
