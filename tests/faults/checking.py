"""Whether three sets are the same: what was answered, what is on the topic, what readers show."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from eventsourcing.persistence import Notification

from device_ledger.ledger.ledger import EventStore
from device_ledger.settings import Settings
from device_ledger.wire import events as wire
from device_ledger.wire.codec import decode, public_bytes
from device_ledger.wire.events import PublicEvent
from projections.readers import open_read_models
from tests.support.answers_check import Command, answer_problems, row_problems, rows_due
from tests.support.published import published
from tests.support.read_models import until_shown
from tests.support.topic_check import problems, stored_events

LOOK_SECONDS: Final = 0.5
_SHOWN: Final = {
    "lookup": "SELECT device_token, bank_id, customer_id, linked_at FROM lookup",
    "links": "SELECT device_token, bank_id, customer_id, linked_at FROM links",
    "devices": "SELECT registration_id, last_seen_at, deleted_at FROM devices",
    "audit": "SELECT ref, at, type, request_id FROM trail",
}


async def violations(
    settings: Settings, commands: Sequence[Command], within: float = 60.0
) -> list[str]:
    """What is lost, there twice, out of order, or held by two; nothing where all is well.

    Topic and read models have ``within`` seconds to come to where the event store is.
    """
    store = EventStore.open(settings)
    try:
        heads, partitions = store.store.heads(), store.identity.partitions
        stored = stored_events(store)
    finally:
        store.close()
    public = [decode(public_bytes(one.id, one.state)) for one in stored]
    found = [*answer_problems(commands, public), *held_twice(public)]
    found += await _topic_problems(settings, heads, stored, partitions, within)
    try:
        await until_shown(settings, heads, within)
    except AssertionError:
        found.append("a read model doesn't come to the event store's position")
    return found + row_problems(rows_due(public), await rows(settings))


async def _topic_problems(
    settings: Settings,
    heads: Mapping[int, int],
    stored: Sequence[Notification],
    partitions: int,
    within: float,
) -> list[str]:
    """What is wrong on the topic, once it has had time to be filled again where it was cut."""
    until = time.monotonic() + within
    while True:
        try:
            left = max(1.0, until - time.monotonic())
            topic = await published(settings.brokers, heads, partitions, left, foreign=True)
        except TimeoutError:
            topic = await published(settings.brokers, {}, partitions, within, foreign=True)
        found = problems(stored, topic, partitions)
        if not found or time.monotonic() > until:
            return found
        await asyncio.sleep(LOOK_SECONDS)


async def rows(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """What each read model of events shows."""
    models = await open_read_models(settings)
    found = {}
    try:
        for model, statement in _SHOWN.items():
            [found[model]] = (await models.read(model, (statement, {}))).value
        return found
    finally:
        await models.close()


def held_twice(stored: Iterable[PublicEvent]) -> list[str]:
    """Devices that were linked to a customer while another had them."""
    holder: dict[str, tuple[str, str]] = {}
    found = []
    for event in stored:
        if event.type == wire.DEVICE_UNLINKED:
            holder.pop(event.subject, None)
        if event.type == wire.DEVICE_LINKED:
            who = (event.data["bankId"], event.data["customerId"])
            if holder.setdefault(event.subject, who) != who:
                found.append(f"event {event.id}: the device is linked to two customers")
    return found
