"""Writing to the alerts topic what a lead decided: durable on Kafka when it returns."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaProducer

from api.errors import TRY_AGAIN, Refusal
from device_ledger.wire.topics import ALERTS

PATIENCE_SECONDS: Final = 5.0
"""How long Kafka may take before it counts as away."""


class AlertTopic:
    """Writes to the alerts topic, over a connection that is made when it is first needed."""

    def __init__(self, brokers: str) -> None:
        self._brokers = brokers
        self._producer: AIOKafkaProducer | None = None
        self._one_by_one = asyncio.Lock()

    async def write(self, value: bytes) -> int:
        """Write a record; its offset, once all replicas have it.

        Raises:
            Refusal: 503, Kafka is away; the record may be on the topic nevertheless.
        """
        async with self._one_by_one:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    producer = await self._connected()
                    written = await producer.send_and_wait(ALERTS, value, partition=0)
            except Exception:  # noqa: BLE001 - whatever Kafka fails with, it is away
                await self.close()
                raise Refusal(503, "kafka-away", TRY_AGAIN, {"Retry-After": "5"}) from None
            return int(written.offset)

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self._brokers, enable_idempotence=True, acks="all"
            )
            await self._producer.start()
        return self._producer

    async def close(self) -> None:
        """Close the connection, if there is one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            # As a task: it goes on where this one is given up.
            await asyncio.wait({asyncio.create_task(producer.stop())}, timeout=PATIENCE_SECONDS)


@asynccontextmanager
async def open_alert_topic(brokers: str) -> AsyncIterator[AlertTopic]:
    """The alerts topic; Kafka may be away until something is written."""
    topic = AlertTopic(brokers)
    try:
        yield topic
    finally:
        await topic.close()
