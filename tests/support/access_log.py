"""Access records as they lie on Kafka or in a spool."""

import asyncio
from pathlib import Path

from api.recorder import Recorder
from api.spool import FOLDER, values_of
from device_ledger.wire.access import AccessRecord, decode, split
from device_ledger.wire.topics import ACCESS
from tests.support.events_topic import records_of


async def on_kafka(servers: str, source: str = "") -> list[AccessRecord]:
    """All records of the access topic, in its order; of one ledger where ``source`` names it."""
    found = [
        decode(line)
        for record in await records_of(servers, ACCESS)
        for line in split(record.value or b"")
    ]
    return [one for one in found if source in ("", one.source)]


def spooled(home: Path) -> list[AccessRecord]:
    """All records that lie in the spool of a home."""
    segments = sorted(one for one in (home / FOLDER).glob("*/*") if one.name != "lock")
    return [
        decode(line)
        for segment in segments
        for value in values_of(segment)
        for line in split(value)
    ]


async def until_sent(recorder: Recorder) -> None:
    """Return once nothing lies in the spool of a process."""
    while not recorder.is_whole:  # noqa: ASYNC110 - that nothing is left is no event
        await asyncio.sleep(0.02)


def once(records: list[AccessRecord]) -> list[AccessRecord]:
    """The records without repeats, in the order of their times."""
    return sorted({one.id: one for one in records}.values(), key=lambda one: one.id)
