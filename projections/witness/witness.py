"""The witness: reads every checkpoint, checks it, and tells on the access topic what it found.

It trusts the relay in nothing but the key: it hashes the records that it reads itself, remembers
the tree below its home, and says when a checkpoint is not that tree, grown. What it tells is part
of the access log, and so signed in turn.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from device_ledger.proofs import Checkpoint, CompactRange, NoteError, VerifierKey
from device_ledger.settings import Settings
from device_ledger.trees.names import LOGS, epoch_of, log_of, position_of
from device_ledger.wire.access import CHECKPOINT_CHECKED, AccessRecord, encode
from device_ledger.wire.topics import ACCESS, CHECKPOINTS
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG
from projections.archive.files import make_folder, write_json
from projections.topic import KAFKA_ERRORS, Topic, TopicMissingError
from projections.witness.followers import AccessFollower, EventsFollower, Follower
from projections.witness.trust import Trust

log = logging.getLogger(__name__)

SOURCE: Final = "urn:device-ledger:witness"
BAD_SIGNATURE: Final = "bad-signature"
SHRUNK: Final = "shrunk"
ROOT_DIFFERS: Final = "root-differs"
RESTORED: Final = "restored"
"""Of the first checkpoint of an epoch: it is good, and what was signed before may be lost."""

GOOD_EVERY_MS: Final = 60_000
"""Good checkpoints of a log are told at most once in so long; bad ones always."""
PATIENCE_SECONDS: Final = 30.0
"""How long a checkpoint's records may be missing on their topic, which may be filled anew."""
PAUSE_SECONDS: Final = 1.0

_PARTITION: Final = TopicPartition(CHECKPOINTS, 0)
_AWAY: Final[tuple[type[Exception], ...]] = (*KAFKA_ERRORS, TopicMissingError)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of a checkpoint; ``code`` says why it is refused, ``None`` that it is good."""

    log: str
    size: int
    code: str | None


class CheckpointWitness:
    """Checks the checkpoints of all logs; remembers below the home how far it is."""

    def __init__(self, settings: Settings, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """
        Raises:
            NoteError: a setting holds what is no verifier key.
        """
        self._brokers = settings.brokers
        self._path = settings.home / "witness" / "state.json"
        self._patience = patience_seconds
        self._given = [VerifierKey.parse(text) for text in sorted(settings.log_verifier_keys)]

    async def run(self, stop: asyncio.Event) -> None:
        """Check until ``stop`` is set; Kafka may come and go meanwhile."""
        while not stop.is_set():
            try:
                async with _open(self._brokers) as (consumer, followers, producer):
                    state = _load(self._path)
                    session = _Session(self._given, state, producer, self._patience, stop)
                    await session.begin(followers, self._brokers)
                    consumer.assign([_PARTITION])
                    consumer.seek(_PARTITION, state["offset"])
                    await self._follow(consumer, session, stop)
            except _AWAY as error:
                log.warning("the witness waits: %s", type(error).__name__)
            await _pause(stop, PAUSE_SECONDS)

    async def _follow(
        self, consumer: AIOKafkaConsumer, session: "_Session", stop: asyncio.Event
    ) -> None:
        while not stop.is_set():
            found = await consumer.getmany(_PARTITION, timeout_ms=500, max_records=100)
            for record in found.get(_PARTITION, []):
                if not stop.is_set():
                    await session.check(record)
            if found:
                make_folder(self._path.parent)
                await asyncio.to_thread(write_json, self._path, session.state())


class _Session:
    """Checking with one set of clients, from the state on."""

    def __init__(
        self,
        given: list[VerifierKey],
        state: dict[str, Any],
        producer: AIOKafkaProducer,
        patience: float,
        stop: asyncio.Event,
    ) -> None:
        self._producer = producer
        self._patience = patience
        self._stop = stop
        self._offset: int = state["offset"]
        self._trust = Trust(given, state)
        self._told: dict[str, int] = state["told"]
        self._logs: dict[str, dict[str, Any]] = state["logs"]
        self._epochs: dict[str, int] = state.get("epochs", {})
        self._followers: dict[str, Follower] = {}

    async def begin(self, consumers: Mapping[str, AIOKafkaConsumer], brokers: str) -> None:
        """Go to where the logs were left."""
        events = EventsFollower(consumers[EVENTS_LOG], self._logs.get(EVENTS_LOG, {}))
        events.assign(range(await Topic(brokers).partitions()))
        access = AccessFollower(consumers[ACCESS_LOG], self._logs.get(ACCESS_LOG, {}))
        access.assign()
        self._followers = {EVENTS_LOG: events, ACCESS_LOG: access}

    def state(self) -> dict[str, Any]:
        """What a new process goes on from."""
        logs = {name: follower.state() for name, follower in self._followers.items()}
        return {
            "offset": self._offset,
            **self._trust.state(),
            "told": self._told,
            "logs": logs,
            "epochs": self._epochs,
        }

    async def check(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        """Check a checkpoint, and tell what is to be told of it."""
        finding = await self._find(record)
        if self._stop.is_set():
            return
        if finding.code is not None:
            log.error("checkpoint %s/%s: %s", finding.log, finding.size, finding.code)
        due = record.timestamp >= self._told.get(finding.log, 0) + GOOD_EVERY_MS
        if finding.code is not None or due:
            line = encode(_access_record(record, finding))
            await self._producer.send_and_wait(ACCESS, line, partition=0)
            if finding.code is None:
                self._told[finding.log] = record.timestamp
        self._offset = record.offset + 1

    async def _find(self, record: "ConsumerRecord[bytes, bytes]") -> Finding:
        name = (record.key or b"").decode(errors="replace")
        if name not in LOGS:
            return Finding("unknown", 0, BAD_SIGNATURE)
        try:
            note = (record.value or b"").decode()
            checkpoint = self._trust.of(name, record).open(note)
            position = position_of(checkpoint)
        except (NoteError, UnicodeDecodeError):
            return Finding(name, 0, BAD_SIGNATURE)
        _, epoch = epoch_of(checkpoint.origin)
        known = self._epochs.get(name, 1)
        if log_of(checkpoint.origin) != name or epoch < known:
            return Finding(name, checkpoint.size, BAD_SIGNATURE)
        if epoch > known:
            self._followers[name].restart()
        code = await self._compare(name, checkpoint, position)
        if code is None and not self._trust.follow(name, note):
            code = BAD_SIGNATURE
        if epoch > known and code is None and not self._stop.is_set():
            self._epochs[name] = epoch
            code = RESTORED
        return Finding(name, checkpoint.size, code)

    async def _compare(self, name: str, checkpoint: Checkpoint, position: int) -> str | None:
        follower = self._followers[name]
        if checkpoint.size < follower.tree.size:
            return SHRUNK
        if checkpoint.size == follower.tree.size:
            return None if checkpoint.root == follower.tree.root() else ROOT_DIFFERS
        grown = await self._grown(follower, checkpoint.size, position)
        if grown is None or grown.root() != checkpoint.root:
            return ROOT_DIFFERS
        follower.keep(grown, position)
        return None

    async def _grown(self, follower: Follower, size: int, position: int) -> CompactRange | None:
        deadline = asyncio.get_running_loop().time() + self._patience
        while True:
            grown = await follower.grown_to(size, position)
            late = asyncio.get_running_loop().time() >= deadline
            if grown is not None or late or self._stop.is_set():
                return grown
            await _pause(self._stop, PAUSE_SECONDS)


def _access_record(record: "ConsumerRecord[bytes, bytes]", finding: Finding) -> AccessRecord:
    """The record of a check. Its id is made of the checkpoint's, so that a check told again, after
    a crash, is known for the same one."""
    data: dict[str, Any] = {
        "outcome": "done" if finding.code is None else "refused",
        "requestId": f"checkpoint-{record.offset}",
        "about": f"{finding.log}/{finding.size}",
    }
    if finding.code is not None:
        data["code"] = finding.code
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    ref = _uuid7(record.timestamp, b"%d\n%b" % (record.offset, record.value or b""))
    return AccessRecord(str(ref), SOURCE, CHECKPOINT_CHECKED, None, now, data)


def _uuid7(milliseconds: int, content: bytes) -> UUID:
    """A UUIDv7 (RFC 9562) of a time, its other bits the content's hash."""
    random = int.from_bytes(sha256(content).digest()[:10]) & ~(0xF << 76 | 0x3 << 62)
    return UUID(int=(milliseconds & (1 << 48) - 1) << 80 | random | 0x7 << 76 | 0x2 << 62)


def _load(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {"offset": 0, "keys": {}, "told": {}, "logs": {}}
    return found


@asynccontextmanager
async def _open(
    brokers: str,
) -> AsyncIterator[tuple[AIOKafkaConsumer, dict[str, AIOKafkaConsumer], AIOKafkaProducer]]:
    """A consumer of checkpoints, one of each log, and a producer."""
    async with AsyncExitStack() as stack:
        consumers = []
        for _ in range(1 + len(LOGS)):
            consumer = AIOKafkaConsumer(
                bootstrap_servers=brokers, enable_auto_commit=False, auto_offset_reset="earliest"
            )
            stack.push_async_callback(consumer.stop)
            await consumer.start()
            # Stopped before its own task ran once, the consumer raises CancelledError.
            await asyncio.sleep(0)
            consumers.append(consumer)
        producer = AIOKafkaProducer(bootstrap_servers=brokers, enable_idempotence=True, acks="all")
        stack.push_async_callback(producer.stop)
        await producer.start()
        yield consumers[0], dict(zip(LOGS, consumers[1:], strict=True)), producer


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for the stop, or for so long."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
