"""The API of a home in this process: real stores, and the real projector on the ledger's events."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from fastapi import FastAPI

from api.app import create_app
from api.services import Services
from device_ledger.issuer import EmbeddedIssuer
from device_ledger.settings import Settings
from device_ledger.wire.codec import PREV_HEADER, partition_of, public_bytes
from device_ledger.wire.events import EVENT_TYPES
from projections.dead_letters import DeadLetters
from projections.guard import KafkaRecord
from projections.models import MODELS
from projections.projector import Projector
from projections.store import open_store
from projections.topic import Topic

BANNO = "/a/consumer/api/v0"


@dataclass
class Installation:
    """A served installation. Reads show what was there at the last ``project``."""

    app: FastAPI
    settings: Settings
    client: httpx.AsyncClient
    services: Services
    projectors: list[Projector]
    _prev: dict[int, int] = field(default_factory=dict)
    _offsets: dict[int, int] = field(default_factory=dict)
    _after: int = 0

    def token(self, kind: Any, **names: Any) -> dict[str, str]:
        """The Authorization header of a caller of that kind."""
        text = EmbeddedIssuer.open(self.settings).mint(kind, **names)
        return {"Authorization": f"Bearer {text}"}

    def bank(self, bank_id: str = "bank-1") -> dict[str, str]:
        """The header of a bank."""
        return self.token("bank", bank_id=bank_id)

    def merchant(self, merchant_id: str = "shop-1") -> dict[str, str]:
        """The header of a merchant."""
        return self.token("merchant", merchant_id=merchant_id)

    def user(self, user_id: str = "customer-1", bank_id: str = "bank-1") -> dict[str, str]:
        """The header of a bank's user."""
        return self.token("user", bank_id=bank_id, user_id=user_id)

    async def command(
        self, name: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Post a command, as bank-1 unless headers say otherwise."""
        return await self.client.post(
            f"/v1/bank/customer/device/{name}", json=body, headers=headers or self.bank()
        )

    async def project(self) -> None:
        """Let every event that the ledger holds take effect in every read model."""
        records = [self._record(*row) for row in self._new_events()]
        for projector in self.projectors:
            await projector.apply(records)

    def _new_events(self) -> list[tuple[int, bytes]]:
        found = self.services.ledger.events.store.select_notifications(
            self._after, 10_000, topics=EVENT_TYPES, inclusive_of_start=False
        )
        if found:
            self._after = found[-1].id
        return [(one.id, one.state) for one in found]

    def _record(self, event_id: int, stored: bytes) -> KafkaRecord:
        key = orjson.loads(stored)["subject"]
        partition = partition_of(key, self.settings.partitions)
        prev = self._prev.get(partition, 0)
        offset = self._offsets.get(partition, 0)
        self._prev[partition], self._offsets[partition] = event_id, offset + 1
        headers = ((PREV_HEADER, b"%d" % prev),)
        value = public_bytes(event_id, stored)
        return KafkaRecord(partition, offset, key.encode(), value, headers)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Installation]:
    """Serve an installation with empty read models until the block ends."""
    store = open_store(settings)
    topic, letters = Topic(settings.brokers), DeadLetters(settings.brokers)
    generations = []
    for model in MODELS:
        with store.building(model):
            name = store.create(model, settings.partitions if model.chained else 1)
            store.point(model, name)
        if model.chained:
            generations.append((model, store.open(model, name, live=True)))
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://ledger.test") as client,
        ):
            projectors = [Projector(one, made, topic, letters) for one, made in generations]
            yield Installation(app, settings, client, app.state.services, projectors)
    finally:
        for _, generation in generations:
            generation.close()
