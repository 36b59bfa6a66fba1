"""Alerts: what their records make of rows, and how they are listed."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from device_ledger.wire.alerts import AlertRecord, encode
from projections.alerts import queries
from projections.alerts.apply import MODEL, AlertRow
from projections.alerts.queries import AlertFilter
from projections.guard import KafkaRecord, Malformed
from projections.readers import ReadModels, open_read_models
from tests.samples import events
from tests.samples.alerts import acknowledged, late, on_topic, raised
from tests.support.projecting import Projecting

ROW = AlertRow(
    id="alert-005",
    arrived=1,
    kind="alert",
    rule="device-farm",
    title="One device cycles through customers",
    level="high",
    at=events.at(5),
    first_at=events.at(4),
    completed_by="5",
    group_values='{"device_token":"device-token-1"}',
    evidence='["4","5"]',
    evidence_count=2,
    bank_id=events.BANK,
    device_token=events.DEVICE,
    customer_id=None,
    merchant_id=None,
)
NOTED: dict[str, Any] = {
    "acknowledged_at": events.at(9),
    "acknowledged_by": "lead-1",
    "note": "a drill",
}
NOTICE = ROW._replace(
    id="late-6",
    arrived=2,
    kind="late",
    rule="",
    title="",
    level="",
    at=events.at(6),
    first_at=events.at(6),
    completed_by="",
    group_values="{}",
    evidence='["7","8"]',
    bank_id=None,
    device_token=None,
)


@pytest.mark.parametrize(
    ("told", "rows"),
    [
        ([raised(5)], [ROW]),
        ([raised(5), raised(5, level="low")], [ROW]),
        ([raised(5), acknowledged(9, raised(5), note="a drill")], [ROW._replace(**NOTED)]),
        (
            [raised(5), acknowledged(9, raised(5), note="a drill"), acknowledged(10, raised(5))],
            [ROW._replace(**NOTED)],
        ),
        ([acknowledged(9, raised(5)), raised(5)], [ROW._replace(arrived=2)]),
        ([raised(5), late(6, "7", "8")], [ROW, NOTICE]),
        ([raised(5), late(6, "7", "8"), acknowledged(9, late(6))], [ROW, NOTICE]),
        ([AlertRecord("x", "s", "alert.of.tomorrow.v1", "t", {})], []),
    ],
)
async def test_what_was_told_first_stays(
    projecting: Projecting, told: list[AlertRecord], rows: list[AlertRow]
) -> None:
    await projecting.show(MODEL, *(on_topic(one) for one in told))
    assert await projecting.rows(MODEL) == rows


async def test_what_is_no_alert_is_parked_and_passed(projecting: Projecting) -> None:
    broken, lacking = KafkaRecord(0, 0, None, b"{}", ()), raised(4)
    del lacking.data["rule"]
    await projecting.show(MODEL, broken, on_topic(lacking), on_topic(raised(5)))
    assert await projecting.rows(MODEL) == [ROW._replace(arrived=3)]
    parked = KafkaRecord(0, 1, b"alert-004", encode(lacking), ())
    assert projecting.letters.letters == [
        ("alerts", Malformed(broken, "not an alert: KeyError")),
        ("alerts", Malformed(parked, "can't be applied: KeyError 'rule'", unfit=True)),
    ]


def various(number: int) -> AlertRecord:
    """Alerts of two rules, levels and banks, some of no bank and of other devices."""
    return raised(
        number,
        rule=("device-farm", "mass-unlink")[number % 2],
        level=("high", "low", "medium")[number % 3],
        bankId=("bank-a", "bank-b", None)[number % 3],
        deviceToken=f"device-{number % 4}",
        customerId=f"Customer-{number % 2}",
        # Two at each moment, and not in the order in which they are told.
        at=events.at((number * 7 % 30) // 2),
    )


TOLD = [various(number) for number in range(30)]
NOTES = [acknowledged(50 + number, TOLD[number]) for number in range(0, 30, 5)]


@pytest.fixture
async def models(projecting: Projecting) -> AsyncIterator[ReadModels]:
    """Readers of thirty alerts, of which six were acknowledged, and a notice."""
    told = [*TOLD[:20], late(3, "1"), *TOLD[20:], *NOTES, late(4, "2", "3")]
    projecting.topics[MODEL.topic].batch = 100
    await projecting.show(MODEL, *(on_topic(one) for one in told))
    opened = await open_read_models(projecting.settings)
    yield opened
    await opened.close()


def ids(told: list[AlertRecord]) -> list[str]:
    """Their IDs, the newest first."""
    return [one.id for one in sorted(told, key=lambda x: (x.data["at"], x.id), reverse=True)]


@pytest.mark.parametrize(
    ("filtered", "expected"),
    [
        (AlertFilter(), TOLD),
        (AlertFilter(rule="device-farm"), TOLD[::2]),
        (AlertFilter(level="low"), TOLD[1::3]),
        (AlertFilter(bank_id="bank-b"), TOLD[1::3]),
        (AlertFilter(bank_id="bank-a", rule="mass-unlink"), TOLD[3::6]),
        (AlertFilter(device_token="device-2"), TOLD[2::4]),
        (AlertFilter(bank_id="bank-a", customer_id="Customer-0"), TOLD[::6]),
        (AlertFilter(acknowledged=True), TOLD[::5]),
        (AlertFilter(acknowledged=False), [one for one in TOLD if one not in TOLD[::5]]),
        (
            AlertFilter(since=events.at(3), until=events.at(9)),
            [one for one in TOLD if events.at(3) <= one.data["at"] < events.at(9)],
        ),
        (AlertFilter(rule="none"), []),
    ],
)
async def test_pages_follow_each_other(
    models: ReadModels, filtered: AlertFilter, expected: list[AlertRecord]
) -> None:
    found: list[AlertRow] = []
    while True:
        after = (found[-1].at, found[-1].id) if found else None
        page = (await queries.page(models, filtered, after=after, limit=4)).value
        found += page
        if len(page) < 4:
            break
    assert [row.id for row in found] == ids(expected)


async def test_one_is_found_by_its_id_at_its_own_bank(models: ReadModels) -> None:
    shown = await queries.find(models, TOLD[4].id)
    assert (shown.value and shown.value.completed_by, shown.position) == ("4", {0: 38})
    own = await queries.find(models, TOLD[4].id, bank_id="bank-b")
    assert own.value == shown.value
    for alert_id, bank_id in (
        (TOLD[4].id, "bank-a"),
        (TOLD[2].id, "bank-a"),
        ("late-3", None),
        ("none", None),
    ):
        assert (await queries.find(models, alert_id, bank_id=bank_id)).value is None


async def test_a_stream_goes_on_in_the_order_of_arrival(models: ReadModels) -> None:
    found: list[AlertRow] = []
    while page := (
        await queries.since(models, found[-1].arrived if found else 0, AlertFilter(), limit=7)
    ).value:
        found += page
    assert [row.id for row in found] == [one.id for one in TOLD]
    assert [row.arrived for row in found] == [*range(1, 21), *range(22, 32)]
    narrowed = AlertFilter(bank_id="bank-b")
    own = (await queries.since(models, 10, narrowed, limit=100)).value
    assert [row.id for row in own] == [one.id for one in TOLD[10::3]]


async def test_notices_of_late_records_stand_by_themselves(models: ReadModels) -> None:
    shown: Any = (await queries.late(models, limit=10)).value
    assert [(row.id, orjson.loads(row.evidence)) for row in shown] == [
        ("late-4", ["2", "3"]),
        ("late-3", ["1"]),
    ]
    further = await queries.late(models, after=(shown[0].at, shown[0].id), limit=10)
    assert further.value == shown[1:]
