"""The read models of access records and alerts beside an installation's of events.

Where Kafka is away, access records are taken from the spool, and alerts are given.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from api.spool import FOLDER, values_of
from device_ledger.wire.alerts import ALERT_RAISED, AlertRecord, alert_id, encode
from projections.alerts.apply import MODEL as ALERTS
from projections.dead_letters import DeadLetters
from projections.guard import KafkaRecord
from projections.projector import Projector
from projections.store import open_store
from projections.topic import Topic
from projections.trail.apply import ACCESS
from tests.support.installation import Installation

AT = "2026-01-31T09:30:00.000Z"


def an_alert(rule: str, completed_by: str, **data: Any) -> tuple[str, bytes]:
    """An alert's ID, and its record on the alerts topic."""
    group = {"device_token": data.get("deviceToken", "D" * 43)}
    told: dict[str, Any] = {
        "rule": rule,
        "title": f"The rule {rule}",
        "level": "high",
        "at": AT,
        "firstAt": AT,
        "completedBy": completed_by,
        "group": group,
        "evidence": [completed_by],
        "evidenceCount": 1,
    } | data
    raised = alert_id(rule, group, completed_by)
    return raised, encode(AlertRecord(raised, "urn:test", ALERT_RAISED, told["at"], told))


class Trail:
    """An installation whose whole trail is projected."""

    def __init__(self, api: Installation, accesses: Projector, alerts: Projector) -> None:
        self.api = api
        self._accesses = accesses
        self._alerts = alerts
        self._told = 0
        self._raised = 0

    async def project(self) -> None:
        """Let every event and every access record so far take effect."""
        await self.api.project()
        segments = sorted((self.api.settings.home / FOLDER).glob("*/[0-9]*"))
        values = [value for segment in segments for value in values_of(segment)]
        records = [KafkaRecord(0, offset, None, value, ()) for offset, value in enumerate(values)][
            self._told :
        ]
        self._told = len(values)
        await self._accesses.apply(records)

    async def alert(self, rule: str, completed_by: str, **data: Any) -> str:
        """Raise an alert; its ID."""
        raised, value = an_alert(rule, completed_by, **data)
        await self.tell(value)
        return raised

    async def tell(self, value: bytes) -> None:
        """Put a record on the alerts topic, as the read model sees it."""
        await self._alerts.apply([KafkaRecord(0, self._raised, None, value, ())])
        self._raised += 1

    async def follow(self) -> None:
        """Read the alerts topic to its end, where there is a Kafka."""
        await self._alerts.catch_up([0])


@asynccontextmanager
async def whole_trail(api: Installation) -> AsyncIterator[Trail]:
    """The trail of an installation, until the block ends."""
    store = open_store(api.settings)
    brokers, made = api.settings.brokers, []
    for model in (ACCESS, ALERTS):
        with store.building(model):
            name = store.create(model, 1)
            store.point(model, name)
        made.append(store.open(model, name, live=True))
    try:
        projectors = [
            Projector(model, generation, Topic(brokers, model.topic), DeadLetters(brokers))
            for model, generation in zip((ACCESS, ALERTS), made, strict=True)
        ]
        yield Trail(api, *projectors)
    finally:
        for generation in made:
            generation.close()
