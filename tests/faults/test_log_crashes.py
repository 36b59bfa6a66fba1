"""The logs' keeper crashes at any line: one tree is signed, and all of it comes to the topic."""

import gc
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from device_ledger.ledger.ledger import Ledger
from device_ledger.proofs import Checkpoint, NoteError, Signer, open_checkpoint
from device_ledger.relay import checkpoints, events_log, signing
from device_ledger.relay.checkpoints import publish, take_over
from device_ledger.relay.events_log import EventsLog
from device_ledger.relay.signing import Signing
from device_ledger.settings import Settings
from device_ledger.trees import database, store
from device_ledger.trees.names import origin_of
from device_ledger.trees.store import TreeStore
from device_ledger.wire.topics import CHECKPOINTS, ensure_topics
from device_ledger.wire.trail import EVENTS_LOG
from tests.support.crashing import Crash, crash_at
from tests.support.events_topic import empty, records_of
from tests.support.logs import event_leaves, wrong
from tests.support.published import without_topics
from tests.support.relaying import write
from tests.support.seed import SEED
from tests.support.topic_check import stored_events

STEP = 7
"""Of all lines each seventh is taken, from another one on each time."""
WATCHED = (checkpoints, database, events_log, signing, store)


@pytest.fixture
async def servers(kafka: str) -> str:
    await without_topics(kafka)
    await ensure_topics(kafka, partitions=1, replication_factor=1)
    return kafka


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(Settings(home=tmp_path / "ledger"))
    write(ledger, 6)
    yield ledger
    ledger.close()


class Keeper:
    """What ``relay.logs`` does for the events log, in steps, with clients that outlive a crash."""

    def __init__(
        self, ledger: Ledger, reader: AIOKafkaConsumer, producer: AIOKafkaProducer
    ) -> None:
        self._events = ledger.events
        self._ids = [one.id for one in stored_events(ledger.events)]
        self._reader = reader
        self._producer = producer

    async def keep(self, home: Path, signer: Signer) -> None:
        """Grow the tree in three steps, each signed and published."""
        trees = TreeStore.open(Settings(home=home))
        trees.prepare()
        await take_over(self._reader, trees, {EVENTS_LOG: [signer.verifier]})
        ticking = itertools.count(step=100)
        log = EventsLog(
            self._events, trees, Signing(trees, EVENTS_LOG, signer, lambda: float(next(ticking)))
        )
        log.open()
        for last in (self._ids[4], self._ids[7], self._ids[-1]):
            log.grow(last)
            await publish(self._producer, trees, EVENTS_LOG)
        trees.close()


@asynccontextmanager
async def keeping(ledger: Ledger, servers: str) -> AsyncIterator[Keeper]:
    reader = AIOKafkaConsumer(
        bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="none"
    )
    async with reader, AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        yield Keeper(ledger, reader, producer)


async def signed(servers: str, signer: Signer) -> list[Checkpoint]:
    """What this signer has on the topic."""
    found = []
    for record in await records_of(servers, CHECKPOINTS):
        try:
            found.append(open_checkpoint((record.value or b"").decode(), [signer.verifier]))
        except NoteError:
            continue
    return found


@pytest.mark.parametrize("first", [1 + SEED % STEP], ids="first={}".format)
async def test_a_keeper_that_crashes_at_any_line_signs_one_tree_and_publishes_all_of_it(
    ledger: Ledger, servers: str, tmp_path: Path, first: int
) -> None:
    leaves = event_leaves(ledger.events)
    crashed = set()
    # Else each line would wait for a search of all that the tests before left.
    gc.freeze()
    async with keeping(ledger, servers) as keeper:
        for line in itertools.count(first, STEP):
            # What earlier crashes left would be read anew, by more lines than a step takes.
            await empty(servers, 1, CHECKPOINTS)
            home = tmp_path / str(line)
            signer = Signer(origin_of(str(line), EVENTS_LOG), bytes(range(32)))
            with crash_at(line, *WATCHED) as lines:
                try:
                    await keeper.keep(home, signer)
                except Crash:
                    crashed.add(lines.crashed_at)
            if lines.crashed_at is None:
                break
            # A process that is gone holds no lock on its files.
            gc.collect()
            await keeper.keep(home, signer)
            found = await signed(servers, signer)
            # What was on its way in the crash may come twice, never in another order.
            once = [one for one, _ in itertools.groupby(found)]
            assert (wrong(once, leaves), once[-1].size) == ([], len(leaves)), lines.crashed_at
            trees = TreeStore.open(Settings(home=home))
            assert (trees.standing(EVENTS_LOG).size, trees.unpublished(EVENTS_LOG)) == (12, [])
            trees.close()
    gc.unfreeze()
    assert len(crashed) > 100 // STEP
