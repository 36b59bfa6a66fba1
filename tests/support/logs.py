"""Looking at the logs as an outsider does: from the checkpoints topic and the records alone."""

import asyncio
from collections.abc import Sequence

from device_ledger.ledger.ledger import EventStore
from device_ledger.proofs import Checkpoint, Signer, leaf_hash, open_checkpoint, root
from device_ledger.settings import Settings
from device_ledger.trees.names import signer_of
from device_ledger.wire.access import split
from device_ledger.wire.codec import public_bytes
from device_ledger.wire.topics import ACCESS, CHECKPOINTS
from device_ledger.wire.trail import EVENTS_LOG
from tests.support.events_topic import records_of
from tests.support.topic_check import stored_events


def signer(settings: Settings, events: EventStore, log: str = EVENTS_LOG) -> Signer:
    """The signer of a log that has a key."""
    found = signer_of(settings, events.identity.ledger_id, log)
    assert found is not None
    return found


async def notes(servers: str, log: str = EVENTS_LOG) -> list[str]:
    """All checkpoints of a log that are on the topic, in order."""
    records = await records_of(servers, CHECKPOINTS)
    return [one.value.decode() for one in records if one.key == log.encode() and one.value]


async def checkpoints(servers: str, signed_by: Signer, log: str = EVENTS_LOG) -> list[Checkpoint]:
    """The same, read with the key."""
    return [open_checkpoint(note, [signed_by.verifier]) for note in await notes(servers, log)]


async def signed_up_to(
    servers: str, signed_by: Signer, size: int, log: str = EVENTS_LOG
) -> list[Checkpoint]:
    """All checkpoints on the topic, once there is one of this size."""
    async with asyncio.timeout(60):
        while True:
            found = await checkpoints(servers, signed_by, log)
            if found and found[-1].size >= size:
                return found
            await asyncio.sleep(0.2)


def event_leaves(events: EventStore) -> list[bytes]:
    """The leaf hashes of the events log, from the event store."""
    return [leaf_hash(public_bytes(one.id, one.state)) for one in stored_events(events)]


async def access_leaves(servers: str) -> list[bytes]:
    """The leaf hashes of the access log, from the topic."""
    records = await records_of(servers, ACCESS)
    return [leaf_hash(line) for one in records if one.value for line in split(one.value)]


def wrong(found: Sequence[Checkpoint], leaves: Sequence[bytes]) -> list[str]:
    """What is wrong with the checkpoints of a log that has these leaves."""
    sizes = [one.size for one in found]
    problems = [] if sizes == sorted(set(sizes)) else [f"sizes {sizes}"]
    return problems + [
        f"root at {one.size}" for one in found if one.root != root(leaves[: one.size])
    ]
