"""Who held a device at a moment of the past."""

import pytest

from device_ledger.wire.events import PublicEvent
from device_ledger.wire.trail import entry_of_event
from projections.readers import open_read_models
from projections.trail.apply import AUDIT
from projections.trail.holder import holder
from tests.samples import events
from tests.support.projecting import PARTITIONS, Projecting

OTHER = {"bankId": "bank-b", "customerId": "Customer-2", "userId": "user-2"}
FIRST, SECOND = events.linked(10), events.linked(30, **OTHER)


@pytest.mark.parametrize(
    ("told", "held"),
    [
        ([], {10: None}),
        ([FIRST], {9: None, 10: FIRST, 500: FIRST}),
        ([FIRST, events.unlinked(20)], {19: FIRST, 20: None, 500: None}),
        ([FIRST, events.deactivated(20)], {19: FIRST, 20: None}),
        ([FIRST, events.erased(20)], {19: FIRST, 20: None}),
        ([FIRST, events.unlinked(20), SECOND], {15: FIRST, 25: None, 35: SECOND}),
        ([FIRST, SECOND], {29: FIRST, 30: SECOND}),
        ([SECOND, events.unlinked(40)], {45: SECOND}),
        ([SECOND, events.erased(40, reason="retention")], {45: SECOND}),
        ([SECOND, events.deactivated(40), events.unlinked(41, **OTHER)], {40: SECOND, 41: None}),
        ([FIRST, events.login_seen(20), events.refused(21, **OTHER)], {25: FIRST}),
        ([FIRST, events.unlinked(20), events.linked(21)], {20: None, 21: events.linked(21)}),
        ([events.linked(10, device="another")], {15: None}),
    ],
)
async def test_only_the_holders_own_events_end_a_link(
    projecting: Projecting, told: list[PublicEvent], held: dict[int, PublicEvent | None]
) -> None:
    await projecting.show(AUDIT, *events.on_partitions(told, PARTITIONS))
    models = await open_read_models(projecting.settings)
    for second, expected in held.items():
        shown = await holder(models, events.DEVICE, events.at(second))
        assert shown.value == (entry_of_event(expected) if expected else None)
    await models.close()


async def test_within_one_moment_the_order_of_the_ledger_counts(projecting: Projecting) -> None:
    """Recorded in the same millisecond: linked, unlinked, linked by another, in this order."""
    now = events.at(10)
    told = [
        PublicEvent(one.id, one.source, one.type, one.subject, now, one.data)
        for one in (events.linked(8), events.unlinked(9), events.linked(10, **OTHER))
    ]
    models = await open_read_models(projecting.settings)
    for count, expected in ((1, told[0]), (2, None), (3, told[2])):
        records = events.on_partitions(told[:count], PARTITIONS)
        await projecting.show(AUDIT, *records[count - 1 :])
        shown = await holder(models, events.DEVICE, now)
        assert shown.value == (entry_of_event(expected) if expected else None)
    await models.close()
