"""The lookup: given these events, then exactly these rows."""

import pytest

from device_ledger.wire.events import PublicEvent
from projections.lookup.apply import MODEL, Lookup
from tests.samples import events
from tests.support.projecting import PARTITIONS, Projecting

LINK = Lookup(
    device_token=events.DEVICE,
    bank_id=events.BANK,
    customer_id=events.CUSTOMER,
    user_id=events.USER,
    registration_id=events.REGISTRATION,
    key_generation=1,
    sealed_device_id="sealed-device",
    sealed_phrase="sealed-phrase",
    linked_at=events.at(2),
)
SOMEONE = {"bankId": "bank-b", "customerId": "Customer-9", "userId": "user-9"}


@pytest.mark.parametrize(
    ("told", "rows"),
    [
        pytest.param([events.registered(1)], [], id="a registered device is not linked"),
        pytest.param([events.registered(1), events.linked(2)], [LINK], id="a link is found"),
        pytest.param([events.linked(2), events.unlinked(3)], [], id="an unlinked one is not"),
        pytest.param([events.linked(2), events.deactivated(3)], [], id="nor a deactivated one"),
        pytest.param([events.linked(2), events.erased(3)], [], id="nor an erased one"),
        pytest.param([events.linked(2), events.login_seen(3)], [LINK], id="a login is no matter"),
        pytest.param([events.linked(2), events.refused(3)], [LINK], id="nor is a refusal"),
        pytest.param(
            [events.linked(1, **SOMEONE), events.linked(2)],
            [LINK],
            id="a link takes the place of an earlier one",
        ),
        pytest.param(
            [
                events.linked(2),
                events.unlinked(3, **SOMEONE),
                events.deactivated(4, **SOMEONE),
                events.erased(5, **SOMEONE),
            ],
            [LINK],
            id="another customer's endings leave it",
        ),
    ],
)
async def test_after_these_events_the_lookup_has_these_rows(
    projecting: Projecting, told: list[PublicEvent], rows: list[Lookup]
) -> None:
    records = events.on_partitions(told, PARTITIONS)
    await projecting.apply(records)
    assert await projecting.rows(MODEL) == rows
