"""The live end of the trail: records as they come, behind the guard, into memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from projections.archive.layout import ArchiveBrokenError
from projections.archive.models import ARCHIVES
from projections.archive.rows import ArchiveRow
from projections.archive.store import ArchiveGeneration
from projections.archive.trail import Trail
from projections.guard import HistoryChangedError, KafkaRecord, Sifted, Standing, sift
from projections.model import Appended
from projections.store import GenerationGoneError
from projections.threads import finish_in_thread
from projections.topic import KAFKA_ERRORS, Topic

_MODELS = {model.table: model for model in ARCHIVES}
_UNFIT = (KeyError, TypeError, ValueError, AttributeError)


class TailBrokenError(RuntimeError):
    """What came doesn't follow what was there: begin again from the archive."""


class Tail:
    """The trail that goes on from where the archive ends."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, archive: Path, *, bank_id: str | None = None
    ) -> None:
        """Begin at the archive's ends.

        Raises:
            GenerationGoneError: there is no archive.
            ArchiveBrokenError: its files do not hold together.
        """
        self._archive = archive
        self._standings = self._archived()
        self._holes: dict[str, set[int]] = {log: set() for log in _MODELS}
        self.trail = Trail(connection, archive, self.next_offsets(), bank_id=bank_id)

    @property
    def source(self) -> str:
        """The source of the newest event, which names the ledger; of none, a name for any."""
        newest = max(self._standings["events"].values(), key=lambda at: at.last_id)
        return newest.source or "urn:device-ledger"

    def next_offsets(self) -> dict[str, dict[int, int]]:
        """For each log and partition the first offset that did not come yet."""
        return _next_offsets(self._standings)

    def archived(self) -> dict[str, dict[int, int]]:
        """For each log and partition the first offset that is not archived by now.

        Raises: as when it was opened.
        """
        return _next_offsets(self._archived())

    def _archived(self) -> dict[str, dict[int, Standing]]:
        return {log: ArchiveGeneration(self._archive / log).standings() for log in _MODELS}

    def take(self, records: Mapping[str, Sequence[KafkaRecord]]) -> list[ArchiveRow]:
        """Add what came next to the trail; the lines that had not come before.

        Raises:
            TailBrokenError: something is missing before them.
            HistoryChangedError: the topic tells another history.
        """
        new: list[ArchiveRow] = []
        for log, batch in records.items():
            model = _MODELS[log]
            sifted = sift(
                self._standings[log],
                batch,
                trusted=True,
                holes=self._holes[log],
                parse=model.parse,
                chained=model.chained,
            )
            if sifted.gaps:
                raise TailBrokenError(f"{model.topic} lacks records in partitions {sifted.gaps}")
            rows = _rows(model, sifted)
            if rows:
                repeated = self.trail.add(log, rows)
                new += [row for row, repeat in zip(rows, repeated, strict=True) if not repeat]
            self._standings[log] = sifted.standings
            self._holes[log] = sifted.holes
        return new


async def read_on(tail: Tail, brokers: str) -> None:
    """Add what the topics have beyond the archive now.

    Raises:
        KafkaError: no broker can be reached.
        TailBrokenError, HistoryChangedError: as `Tail.take`.
    """
    for log, starts in tail.next_offsets().items():
        async with Topic(brokers, _MODELS[log].topic).reading() as reading:
            ends = {at: end for at, (_, end) in (await reading.bounds(starts)).items()}
            async for batch in reading.batches(starts, ends):
                records = [record for of_partition in batch.values() for record in of_partition]
                await finish_in_thread(tail.take, {log: records})


@contextmanager
def told_plainly(error_class: type[Exception]) -> Iterator[None]:
    """Tell what is wrong with the archive or the topics in one line, as an ``error_class``."""
    try:
        yield
    except GenerationGoneError:
        raise error_class("there is no archive yet: `device-ledger detector` writes it") from None
    except (TailBrokenError, HistoryChangedError, ArchiveBrokenError) as error:
        raise error_class(f"archive and topics don't fit together: {error}") from error
    except KAFKA_ERRORS as error:
        raise error_class(f"Kafka doesn't answer: {type(error).__name__}") from error
    except OSError as error:
        raise error_class(f"the archive can't be read: {error.strerror}") from error


def _next_offsets(standings: Mapping[str, Mapping[int, Standing]]) -> dict[str, dict[int, int]]:
    return {
        log: {partition: at.next_offset for partition, at in of_partition.items()}
        for log, of_partition in standings.items()
    }


def _rows(model: Appended, sifted: Sifted) -> list[ArchiveRow]:
    rows: list[ArchiveRow] = []
    for raw, record in sifted.records:
        try:
            rows += model.rows_of(raw, record.event)
        except _UNFIT:
            # The archive parks it.
            continue
    return rows
