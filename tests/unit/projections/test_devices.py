"""The devices of a user: given these events, then exactly these rows."""

import pytest

from device_ledger.wire.events import PublicEvent
from projections.devices.apply import MODEL, Device
from tests.samples import events
from tests.support.projecting import PARTITIONS, Projecting

REGISTERED = Device(
    registration_id=events.REGISTRATION,
    device_token=events.DEVICE,
    bank_id=events.BANK,
    user_id=events.USER,
    key_generation=1,
    sealed_device_id="sealed-device",
    info="{}",
    type=None,
    sealed_name=None,
    sealed_address=None,
    registered_at=events.at(1),
    updated_at=events.at(1),
    last_seen_at=None,
    deleted_at=None,
)
PHONE = {
    "deviceType": "Mobile",
    "info": {"model": "Pixel 8", "brand": "Google"},
    "sealedName": "sealed-name",
    "sealedAddress": "sealed-address",
}
SEEN = REGISTERED._replace(
    info='{"brand":"Google","model":"Pixel 8"}',
    type="Mobile",
    sealed_name="sealed-name",
    sealed_address="sealed-address",
    updated_at=events.at(5),
    last_seen_at=events.at(5),
)


@pytest.mark.parametrize(
    ("told", "rows"),
    [
        pytest.param([events.registered(1)], [REGISTERED], id="a device is registered"),
        pytest.param(
            [events.registered(1), events.login_seen(5, **PHONE)], [SEEN], id="a login describes it"
        ),
        pytest.param(
            [events.registered(1), events.login_seen(5, **PHONE), events.login_seen(6)],
            [SEEN._replace(updated_at=events.at(6), last_seen_at=events.at(6))],
            id="what a login doesn't tell stays",
        ),
        pytest.param(
            [
                events.registered(1),
                events.login_seen(5, **PHONE),
                events.login_seen(6, seenAt=events.at(2)),
            ],
            [SEEN],
            id="a late login moves nothing back",
        ),
        pytest.param(
            [events.registered(1), events.deactivated(4)],
            [REGISTERED._replace(updated_at=events.at(4), deleted_at=events.at(4))],
            id="an ended one stays, with its end",
        ),
        pytest.param(
            [events.registered(1), events.deactivated(4), events.registered(7)],
            [REGISTERED._replace(updated_at=events.at(7))],
            id="one that comes back keeps its first time",
        ),
        pytest.param([events.registered(1), events.erased(2)], [], id="an erased one is gone"),
        pytest.param(
            [events.login_seen(1), events.deactivated(2)], [], id="an unknown one is not made"
        ),
        pytest.param(
            [events.registered(1), events.linked(2), events.unlinked(3), events.refused(4)],
            [REGISTERED],
            id="links and refusals are no matter",
        ),
    ],
)
async def test_after_these_events_a_user_has_these_devices(
    projecting: Projecting, told: list[PublicEvent], rows: list[Device]
) -> None:
    await projecting.apply(events.on_partitions(told, PARTITIONS))
    assert await projecting.rows(MODEL) == rows
