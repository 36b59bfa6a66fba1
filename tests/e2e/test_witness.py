"""The witness on a real Kafka: it finds every checkpoint that isn't the records, and tells once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer

from device_ledger.ledger.epochs import begin_epoch
from device_ledger.ledger.ledger import Ledger, utc_now
from device_ledger.proofs import Checkpoint, Signer, root, sign_checkpoint
from device_ledger.settings import Settings
from device_ledger.trees.names import ensure_log_key, origin_of, position_line, signer_of
from device_ledger.wire.access import CHECKPOINT_CHECKED, AccessRecord
from device_ledger.wire.codec import PREV_HEADER
from device_ledger.wire.topics import CHECKPOINTS, VERIFIER_KEY_HEADER, ensure_topics
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from projections.guard import KafkaRecord
from projections.witness import witness
from projections.witness.witness import CheckpointWitness
from tests.support.access_log import on_kafka
from tests.support.events_topic import send
from tests.support.logs import access_leaves, event_leaves, signer
from tests.support.published import without_topics
from tests.support.relaying import relay, write
from tests.support.topic_check import due, stored_events

PARTITIONS = 8


@pytest.fixture
async def servers(kafka: str) -> str:
    await without_topics(kafka)
    await ensure_topics(kafka, partitions=PARTITIONS, replication_factor=1)
    return kafka


@pytest.fixture
def settings(tmp_path: Path, servers: str) -> Settings:
    chosen = Settings(home=tmp_path, KAFKA_BOOTSTRAP_SERVERS=servers)
    ensure_log_key(chosen)
    return chosen


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings)
    yield ledger
    ledger.close()


class Log:
    """A log that tests put on Kafka themselves, to say of it what they like."""

    def __init__(self, servers: str, settings: Settings, ledger: Ledger) -> None:
        self._servers = servers
        self._ledger = ledger
        self.signer: Signer = signer(settings, ledger.events)

    async def relay(self, change: Callable[[int, bytes], bytes] = lambda _, value: value) -> None:
        """Bring all events to the topic, changed."""
        by_partition = due(stored_events(self._ledger.events), PARTITIONS)
        records = [
            KafkaRecord(partition, 0, b"key", change(number, value), ((PREV_HEADER, b"0"),))
            for partition, events in by_partition.items()
            for number, value in events
        ]
        await send(self._servers, records)

    def checkpoint(self, size: int) -> Checkpoint:
        """The true one of that size."""
        ids = [one.id for one in stored_events(self._ledger.events)]
        line = position_line(ids[size - 1])
        return Checkpoint(
            self.signer.verifier.name, size, root(event_leaves(self._ledger.events)[:size]), (line,)
        )

    async def sign(self, *checkpoints: Checkpoint, by: Signer | None = None) -> None:
        """Put signed checkpoints on the topic."""
        key = str((by or self.signer).verifier).encode()
        async with AIOKafkaProducer(bootstrap_servers=self._servers) as producer:
            for one in checkpoints:
                await producer.send_and_wait(
                    CHECKPOINTS,
                    sign_checkpoint(one, [by or self.signer]).encode(),
                    key=EVENTS_LOG.encode(),
                    partition=0,
                    headers=[(VERIFIER_KEY_HEADER, key)],
                )


@pytest.fixture
def log(servers: str, settings: Settings, ledger: Ledger) -> Log:
    return Log(servers, settings, ledger)


@asynccontextmanager
async def watching(settings: Settings, patience_seconds: float = 0.0) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(
        CheckpointWitness(settings, patience_seconds=patience_seconds).run(stop)
    )
    try:
        yield
    finally:
        stop.set()
        await running


async def checked(servers: str, about: str) -> list[AccessRecord]:
    """What the witness told, once it told about that checkpoint."""
    async with asyncio.timeout(60):
        while True:
            found = [one for one in await on_kafka(servers) if one.type == CHECKPOINT_CHECKED]
            if about in [one.data["about"] for one in found]:
                return found
            await asyncio.sleep(0.1)


def verdicts(records: Sequence[AccessRecord]) -> list[tuple[str, str | None]]:
    return [(one.data["about"], one.data.get("code")) for one in records]


async def test_good_checkpoints_are_told_once_a_minute(
    log: Log, ledger: Ledger, settings: Settings, servers: str
) -> None:
    write(ledger, 50)
    await log.relay()
    await log.sign(*map(log.checkpoint, (10, 20, 100)))
    forged = replace(log.checkpoint(100), root=bytes(32))
    await log.sign(forged)
    async with watching(settings):
        found = await checked(servers, "events/100")
    assert verdicts(found) == [("events/10", None), ("events/100", "root-differs")]
    assert [one.data["outcome"] for one in found] == ["done", "refused"]
    assert {UUID(one.id).version for one in found} == {7}


async def test_the_first_checkpoint_of_an_epoch_is_told_as_a_restore_and_the_log_before_has_ended(
    log: Log, ledger: Ledger, settings: Settings, servers: str
) -> None:
    write(ledger, 50)
    await log.relay()
    await log.sign(*map(log.checkpoint, (60, 100)))
    begin_epoch(ledger.events, 2, "restored from a copy", utc_now())
    write(ledger, 10)
    await log.relay()
    second = signer_of(settings, ledger.identity.ledger_id, EVENTS_LOG, 2)
    assert second is not None
    for size in (120, 128):
        await log.sign(replace(log.checkpoint(size), origin=second.verifier.name), by=second)
    await log.sign(log.checkpoint(110))
    third = Signer(origin_of(ledger.identity.ledger_id, EVENTS_LOG, 3), bytes(32))
    await log.sign(replace(log.checkpoint(128), origin=third.verifier.name), by=third)
    async with watching(settings):
        found = await checked(servers, "events/0")
    assert verdicts(found) == [
        ("events/60", None),
        ("events/120", "restored"),
        ("events/110", "bad-signature"),
        # Of another key, whatever epoch it names.
        ("events/0", "bad-signature"),
    ]


async def test_every_way_to_be_wrong_is_told_and_what_is_right_afterwards_is_not(
    log: Log, ledger: Ledger, settings: Settings, servers: str
) -> None:
    write(ledger, 50)
    await log.relay()
    await log.sign(log.checkpoint(60))
    await log.sign(replace(log.checkpoint(70), root=bytes(32)))
    await log.sign(log.checkpoint(50))
    await log.sign(replace(log.checkpoint(100), size=1_000))
    await log.sign(log.checkpoint(80), by=Signer(log.signer.verifier.name, bytes(32)))
    await log.sign(replace(log.checkpoint(90), extensions=()))
    await log.sign(log.checkpoint(90))
    await log.sign(replace(log.checkpoint(100), root=bytes(32)))
    async with watching(settings):
        found = await checked(servers, "events/100")
    assert verdicts(found) == [
        ("events/60", None),
        ("events/70", "root-differs"),
        ("events/50", "shrunk"),
        ("events/1000", "root-differs"),
        ("events/0", "bad-signature"),
        ("events/0", "bad-signature"),
        ("events/100", "root-differs"),
    ]


async def test_one_byte_of_one_record_on_the_topic_is_found(
    log: Log, ledger: Ledger, settings: Settings, servers: str
) -> None:
    write(ledger, 50)
    target = stored_events(ledger.events)[41].id

    def flip(number: int, value: bytes) -> bytes:
        return value.replace(b"bank-a", b"bank-b", 1) if number == target else value

    await log.relay(flip)
    await log.sign(*map(log.checkpoint, (41, 42)))
    async with watching(settings):
        found = await checked(servers, "events/42")
    assert verdicts(found) == [("events/41", None), ("events/42", "root-differs")]


async def test_a_witness_that_starts_again_goes_on_and_tells_nothing_twice(
    log: Log, ledger: Ledger, settings: Settings, servers: str
) -> None:
    write(ledger, 30)
    await log.relay()
    await log.sign(log.checkpoint(20), replace(log.checkpoint(30), root=bytes(32)))
    async with watching(settings):
        before = await checked(servers, "events/30")
    write(ledger, 30)
    # All of them again, as two relays at once may send them.
    await log.relay()
    await log.sign(log.checkpoint(100), replace(log.checkpoint(120), root=bytes(32)))
    async with watching(settings):
        after = await checked(servers, "events/120")
    assert after[: len(before)] == before
    assert verdicts(after[len(before) :]) == [("events/120", "root-differs")]


async def test_a_check_that_is_told_again_has_the_same_id(
    log: Log, ledger: Ledger, settings: Settings, servers: str
) -> None:
    write(ledger, 10)
    await log.relay()
    await log.sign(log.checkpoint(10), replace(log.checkpoint(20), root=bytes(32)))
    found: list[AccessRecord] = []
    for times in (1, 2, 3):
        async with watching(settings), asyncio.timeout(60):
            while len(found) < 2 * times:
                found = await checked(servers, "events/20")
                await asyncio.sleep(0.1)
        (settings.home / "witness" / "state.json").unlink()
    assert len({one.id for one in found}) == 2
    assert verdicts(found) == [("events/10", None), ("events/20", "root-differs")] * 3


async def test_records_that_come_after_their_checkpoint_are_waited_for(
    log: Log, ledger: Ledger, settings: Settings, servers: str
) -> None:
    write(ledger, 10)
    await log.sign(log.checkpoint(20))
    async with watching(settings, patience_seconds=60):
        await asyncio.sleep(1)
        await log.relay()
        found = await checked(servers, "events/20")
    assert verdicts(found) == [("events/20", None)]


async def test_a_key_of_the_settings_is_believed_and_no_other(
    log: Log, ledger: Ledger, settings: Settings, servers: str
) -> None:
    write(ledger, 10)
    await log.relay()
    stranger = Signer(log.signer.verifier.name, bytes(32))
    await log.sign(log.checkpoint(10), by=stranger)
    await log.sign(log.checkpoint(20))
    pinned = Settings(
        home=settings.home,
        KAFKA_BOOTSTRAP_SERVERS=servers,
        log_verifier_keys=frozenset({str(log.signer.verifier)}),
    )
    async with watching(pinned):
        found = await checked(servers, "events/20")
    assert verdicts(found) == [("events/0", "bad-signature"), ("events/20", None)]


async def test_both_logs_of_a_running_relay_are_good(
    ledger: Ledger, settings: Settings, servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness, "GOOD_EVERY_MS", 0)
    child = relay(settings, servers)
    child.start()
    try:
        await asyncio.to_thread(child.wait_until_ready)
        async with watching(settings), asyncio.timeout(60):
            write(ledger, 600)
            found: list[AccessRecord] = []
            while not {EVENTS_LOG, ACCESS_LOG} <= logs_of(found):
                found = await on_kafka(servers)
                await asyncio.sleep(0.2)
    finally:
        child.stop()
    assert {code for _, code in verdicts(found)} == {None}
    assert len(await access_leaves(servers)) >= len(found)


def logs_of(records: Sequence[AccessRecord]) -> set[str]:
    return {one.data["about"].partition("/")[0] for one in records}
