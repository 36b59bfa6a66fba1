"""Archives that are fed by hand, as a projector would feed them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from projections.archive.layout import parts_of
from projections.archive.models import ACCESS_ARCHIVE, EVENTS_ARCHIVE
from projections.archive.reader import read_raw
from projections.archive.store import ArchiveStore
from projections.guard import KafkaRecord, sift
from projections.live import LiveProjector
from projections.model import Appended
from tests.samples import events
from tests.support.list_topic import ListDeadLetters, ListTopic

MODELS = {EVENTS_LOG: EVENTS_ARCHIVE, ACCESS_LOG: ACCESS_ARCHIVE}
PARTITIONS = {EVENTS_LOG: 3, ACCESS_LOG: 1}
HISTORY = events.history(12)
EVENTS = events.on_partitions(HISTORY, PARTITIONS[EVENTS_LOG])
EVENT_BYTES = [events.value_of(event) for event in HISTORY]


class Archiving:
    """An archive of a log, and the topic that it is written from."""

    def __init__(self, home: Path, log: str = EVENTS_LOG) -> None:
        self.archive = home / "archive"
        self.log = log
        self.topic = ListTopic(PARTITIONS[log])
        self.letters = ListDeadLetters()
        self.live = LiveProjector(MODELS[log], ArchiveStore(self.archive), self.topic, self.letters)

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.archive / self.log

    async def take(self, records: Iterable[KafkaRecord]) -> None:
        """Put records on the topic, and archive them."""
        self.topic.add(records)
        await self.live.catch_up(range(PARTITIONS[self.log]))

    def raw(self) -> list[bytes]:
        """The bytes that it holds, in the order of the log."""
        return [line.raw for line in read_raw(self.archive, self.log)]

    def files(self) -> list[str]:
        """The files that are read, below its folder."""
        return [
            str(part.path.relative_to(self.folder))
            for parts in parts_of(self.folder).values()
            for part in parts
        ]

    def column(self, name: str) -> list[object]:
        """A column of all rows, in the order of partition and offset."""
        return [
            value
            for parts in parts_of(self.folder).values()
            for part in parts
            for value in pq.read_table(part.path, columns=[name]).column(name).to_pylist()
        ]


def feed(archive: Path, model: Appended, records: Sequence[KafkaRecord]) -> None:
    """Write in this thread, in one transaction, what of these records is not there yet."""
    store = ArchiveStore(archive)
    partitions = PARTITIONS[model.table]
    name = store.live(model) or store.create(model, partitions)
    store.remove_others(model)
    generation = store.open(model, name, live=True)
    with generation.transaction(range(partitions)) as transaction:
        sifted = sift(
            transaction.standings, records, trusted=True, parse=model.parse, chained=model.chained
        )
        for raw, record in sifted.records:
            transaction.append(model.rows_of(raw, record.event))
        transaction.move(sifted.standings)
