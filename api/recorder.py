"""The recorder: keeps access records, durable before the answer that they tell of.

All records that wait become one Kafka record, one flush at a time, so that flushes grow under load
by themselves. A flush that Kafka doesn't acknowledge in time goes to the spool, and so does every
one after it until Kafka answers again; then the spool is sent while new records go to Kafka. The
order of the topic is therefore not that of time. A flush whose acknowledgement was lost is there
twice: readers know a repeat by its id.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed

from api.metrics import Metrics
from api.readiness import NotUpError, kafka_answers
from api.spool import Spool, SpoolError, values_of
from device_ledger.together import beside
from device_ledger.wire.access import NDJSON_HEADER, join
from device_ledger.wire.topics import ACCESS

_log = logging.getLogger(__name__)

FLUSH_BYTES_MAX: Final = 512 << 10
"""Of a Kafka record's value; brokers take 1 MiB (``max.message.bytes``)."""
ACKNOWLEDGE_SECONDS: Final = 1.5
"""How long Kafka may take for a flush before it counts as away."""
CONNECT_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 0.5


class Recorder:
    """Keeps the access records of this process; made by :func:`open_recorder`."""

    def __init__(self, brokers: str, spool: Spool, metrics: Metrics) -> None:
        self._brokers = brokers
        self._spool = spool
        self._metrics = metrics
        metrics.show_spool(lambda: spool.size)
        self._waiting: deque[tuple[Sequence[bytes], int, asyncio.Future[None]]] = deque()
        self._wanted = asyncio.Event()
        self._producer: AIOKafkaProducer | None = None
        self._lost = asyncio.Event()
        self._sent = 0

    @property
    def is_whole(self) -> bool:
        """Whether Kafka has all that was recorded: nothing waits in the spool."""
        return self._spool.size == 0

    async def check(self) -> bool:
        """Whether Kafka has all that was recorded.

        Raises:
            NotUpError: some of it waits in the spool.
        """
        if not self.is_whole:
            raise NotUpError(f"{self._spool.size} bytes of access records are not on Kafka")
        return True

    async def record(self, lines: Sequence[bytes]) -> None:
        """Return once these records are durable, on Kafka or in the spool.

        Raises:
            SpoolError: they can't be kept now.
            ValueError: they are more than one flush may carry.
        """
        size = sum(map(len, lines)) + len(lines)
        if size > FLUSH_BYTES_MAX:
            raise ValueError(f"{size} bytes of access records at once")
        kept = asyncio.get_running_loop().create_future()
        self._waiting.append((lines, size, kept))
        self._wanted.set()
        await kept

    async def flush(self) -> None:
        """Keep whatever is recorded, until cancelled."""
        while True:
            await self._wanted.wait()
            lines, waiters = self._next()
            try:
                place = await self._keep(join(lines))
            except Exception as error:  # noqa: BLE001 - told to those who wait
                said = error if isinstance(error, SpoolError) else type(error).__name__
                _log.error("access records can't be kept: %s", said)
                _tell(waiters, error)
            else:
                _tell(waiters, None)
                self._metrics.kept_access(place, len(lines))

    async def follow(self) -> None:
        """Connect to Kafka and send the spool, again whenever Kafka was lost, until cancelled."""
        while True:
            producer = await self._connected()
            if producer is not None:
                self._lost.clear()
                try:
                    await self._drain(producer)
                    await self._lost.wait()
                except Exception as error:  # noqa: BLE001 - the spool stays, and is sent later
                    self._lose(error)
                finally:
                    self._producer = None
                    await _throw_away(producer)
            await asyncio.sleep(PROBE_SECONDS)

    def _next(self) -> tuple[list[bytes], list[asyncio.Future[None]]]:
        """What goes into the next flush: as much as waits and fits."""
        taken: list[bytes] = []
        waiters = []
        room = FLUSH_BYTES_MAX
        while self._waiting and self._waiting[0][1] <= room:
            lines, size, kept = self._waiting.popleft()
            taken += lines
            waiters.append(kept)
            room -= size
        if not self._waiting:
            self._wanted.clear()
        return taken, waiters

    async def _keep(self, value: bytes) -> str:
        """Where the value was kept: ``kafka`` or ``spool``."""
        if self._producer is not None:
            try:
                await _send(self._producer, value)
            except Exception as error:  # noqa: BLE001 - whatever Kafka fails with, it is away
                self._lose(error)
            else:
                return "kafka"
        await asyncio.to_thread(self._spool.append, value)
        return "spool"

    def _lose(self, error: Exception) -> None:
        if self._producer is not None:
            _log.warning("Kafka is away, access records are spooled: %s", type(error).__name__)
        self._producer = None
        self._lost.set()

    async def _connected(self) -> AIOKafkaProducer | None:
        """A producer that knows the topic; nothing where Kafka or the topic isn't there."""
        # First without the library, which logs each attempt as an error.
        if not await kafka_answers(self._brokers):
            return None
        producer = AIOKafkaProducer(
            bootstrap_servers=self._brokers, enable_idempotence=True, acks="all"
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await producer.start()
                # Topics are made by the relay only, and not by asking for them.
                await producer.partitions_for(ACCESS)
        except BaseException as error:
            await _throw_away(producer)
            if isinstance(error, Exception):
                return None
            raise
        return producer

    async def _drain(self, producer: AIOKafkaProducer) -> None:
        """Send what is spooled; Kafka is used for new records from its first acknowledgement on."""
        while (segment := await asyncio.to_thread(self._spool.oldest)) is not None:
            values = _joined(await asyncio.to_thread(values_of, segment))
            for value in values[self._sent :]:
                await _send(producer, value)
                self._sent += 1
                self._use(producer)
            await asyncio.to_thread(self._spool.remove, segment)
            self._sent = 0
        self._use(producer)

    def _use(self, producer: AIOKafkaProducer) -> None:
        if not self._lost.is_set():
            self._producer = producer


@asynccontextmanager
async def open_recorder(brokers: str, spool: Spool, metrics: Metrics) -> AsyncIterator[Recorder]:
    """The recorder of this process. Kafka may be away: what is spooled is sent when it is back."""
    recorder = Recorder(brokers, spool, metrics)
    async with beside(recorder.flush(), recorder.follow()):
        yield recorder


async def _send(producer: AIOKafkaProducer, value: bytes) -> None:
    async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
        await producer.send_and_wait(ACCESS, value, partition=0, headers=[NDJSON_HEADER])


async def _throw_away(producer: AIOKafkaProducer) -> None:
    """Close a producer without sending what it still holds: that lies in the spool."""
    # stop() alone would flush, and wait for what a broker that hangs has not answered.
    if (sender := producer._sender.sender_task) is not None:  # noqa: SLF001
        sender.cancel()
    producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001
    for closing in (producer.client.close(), producer.stop()):
        # As tasks: where the library is cancelled, this isn't.
        await asyncio.wait({asyncio.create_task(closing)}, timeout=ACKNOWLEDGE_SECONDS)


def _joined(values: Sequence[bytes]) -> list[bytes]:
    """The values with small ones put together, in order."""
    found: list[bytes] = []
    together: list[bytes] = []
    room = FLUSH_BYTES_MAX
    for value in values:
        if len(value) + 1 > room:
            found.append(join(together))
            together, room = [], FLUSH_BYTES_MAX
        together.append(value)
        room -= len(value) + 1
    return [*found, join(together)] if together else found


def _tell(waiters: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    for kept in waiters:
        # Whoever gave up waiting doesn't ask any more.
        if not kept.done():
            kept.set_result(None) if error is None else kept.set_exception(error)
