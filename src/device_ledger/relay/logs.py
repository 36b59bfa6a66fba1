"""Keeping the logs' trees, beside the relaying and never in its way."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from device_ledger.ledger.epochs import epochs_of
from device_ledger.ledger.ledger import EventStore
from device_ledger.proofs import (
    Checkpoint,
    Signer,
    VerifierKey,
    parse_checkpoint,
    unverified_text,
)
from device_ledger.relay.access_log import AccessLog
from device_ledger.relay.checkpoints import publish, take_over
from device_ledger.relay.events_log import EventsLog
from device_ledger.relay.signing import LogRefusedError, Signing
from device_ledger.relay.tails import RelayRefusedError
from device_ledger.schemas import SchemaError
from device_ledger.settings import Settings
from device_ledger.together import first_to_end
from device_ledger.trees.epochs import LaterEpochError
from device_ledger.trees.names import name_of_epoch, position_of, signers_of
from device_ledger.trees.store import TreeStore
from device_ledger.wire.trail import ACCESS_LOG, EVENTS_LOG

log = logging.getLogger(__name__)

PACE_SECONDS: Final = 0.5
"""How often the trees are looked after: what has come since is one transaction."""
PAUSE_SECONDS: Final = 1.0
STOPPED_SECONDS: Final = 60.0
"""How often the access log, once it can't be followed, is tried and complained of again."""


class LogKeeper:
    """Grows the trees by what the relay has brought to Kafka, and signs them."""

    def __init__(self, settings: Settings, events: EventStore) -> None:
        """
        Raises:
            KeyLoadingError: the logs' key can't be used.
        """
        self._events = events
        ledger_id, epoch = events.identity.ledger_id, events.identity.epoch
        self._signers: Mapping[str, Sequence[Signer]] = {
            EVENTS_LOG: signers_of(settings, ledger_id, EVENTS_LOG, epoch),
            ACCESS_LOG: signers_of(settings, ledger_id, ACCESS_LOG),
        }
        before = {
            name_of_epoch(EVENTS_LOG, past): signers_of(settings, ledger_id, EVENTS_LOG, past)
            for past in range(1, epoch)
        }
        self._keys: Mapping[str, Sequence[VerifierKey]] = {
            name: [one.verifier for one in signers]
            for name, signers in {**before, **self._signers}.items()
        }
        if not all(self._signers.values()):
            log.warning("no log key: checkpoints are not signed (set DEVICE_LEDGER_LOG_KEY_FILE)")
        self.store = TreeStore.open(settings)

    async def run(
        self, bootstrap_servers: str, producer: AIOKafkaProducer, acknowledged: Callable[[], int]
    ) -> None:
        """Keep the trees until cancelled; ``acknowledged`` tells up to which id all events are on
        Kafka.

        Raises:
            RelayRefusedError: the events' tree isn't the one that was signed, or not that of the
                event store.
        """
        while True:
            try:
                await asyncio.to_thread(self._prepare)
                async with _reader(bootstrap_servers) as reader:
                    await take_over(reader, self.store, self._keys)
                    await first_to_end(
                        self._keep_events(producer, acknowledged),
                        self._keep_access(producer, reader),
                    )
            except RelayRefusedError:
                raise
            except (LaterEpochError, SchemaError) as error:
                raise RelayRefusedError(str(error)) from error
            except Exception as error:  # noqa: BLE001 - the relaying goes on, whatever fails here
                log.warning("the logs' trees wait: %s: %s", type(error).__name__, error)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _keep_events(
        self, producer: AIOKafkaProducer, acknowledged: Callable[[], int]
    ) -> None:
        extends = await asyncio.to_thread(self._extended)
        signing = self._signing(EVENTS_LOG, extends)
        events = EventsLog(self._events, self.store, signing)
        await asyncio.to_thread(events.open)
        while True:
            more = await asyncio.to_thread(events.grow, acknowledged())
            await publish(producer, self.store, EVENTS_LOG, self._keys[EVENTS_LOG])
            if not more:
                await asyncio.sleep(PACE_SECONDS)

    async def _keep_access(self, producer: AIOKafkaProducer, reader: AIOKafkaConsumer) -> None:
        while True:
            signing = self._signing(ACCESS_LOG)
            access = AccessLog(reader, self.store, signing)
            try:
                await access.open()
                await self._follow_access(access, producer)
            except LogRefusedError as error:
                log.error("%s", error)  # noqa: TRY400 - the message says it all
            await asyncio.sleep(STOPPED_SECONDS)

    async def _follow_access(self, access: AccessLog, producer: AIOKafkaProducer) -> None:
        while True:
            more = await access.grow()
            await publish(producer, self.store, ACCESS_LOG, self._keys[ACCESS_LOG])
            if not more:
                await access.expect_all_there()
                await asyncio.sleep(PACE_SECONDS)

    def _signing(self, name: str, extends: Checkpoint | None = None) -> Signing:
        signers = self._signers[name]
        newest = signers[-1] if signers else None
        return Signing(self.store, name, newest, extends=extends, before=signers[:-1])

    def _prepare(self) -> None:
        self.store.prepare()
        self.store.enter_epoch(EVENTS_LOG, self._events.identity.epoch)

    def _extended(self) -> Checkpoint | None:
        """The newest checkpoint of earlier epochs that tells of nothing that was lost."""
        epochs = epochs_of(self._events)
        for epoch in range(epochs.now - 1, 0, -1):
            name, size = name_of_epoch(EVENTS_LOG, epoch), None
            while page := self.store.checkpoints(name, up_to=size, newest_first=True):
                for one in page:
                    checkpoint = parse_checkpoint(unverified_text(one.note))
                    if position_of(checkpoint) <= epochs.kept_up_to(epoch):
                        return checkpoint
                size = page[-1].size - 1
        return None


@asynccontextmanager
async def _reader(bootstrap_servers: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, enable_auto_commit=False, auto_offset_reset="none"
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()
