"""A bank's list of links: given these events, then exactly these rows and counts."""

import pytest

from device_ledger.wire.codec import partition_of
from device_ledger.wire.events import PublicEvent
from projections.links.apply import Link, bank_mark, grams_of
from tests.samples import events
from tests.support.projecting import PARTITIONS, Projecting

PARTITION = partition_of(events.DEVICE, PARTITIONS)
LINK = Link(
    device_token=events.DEVICE,
    bank_id=events.BANK,
    customer_id=events.CUSTOMER,
    user_id=events.USER,
    registration_id=events.REGISTRATION,
    key_generation=1,
    sealed_device_id="sealed-device",
    phrase_token="phrase-token-1",
    sealed_phrase="sealed-phrase",
    linked_at=events.at(2),
    model="",
    brand="",
    search_text="customer-1\n\n",
    grams=f"{bank_mark(events.BANK)} custom ustome stomer tomer- omer-1 mer-1 er-1 r-1 -1 1",
)
PHONE = {"info": {"model": "Pixel 8", "brand": "Google"}}
DESCRIBED = LINK._replace(
    model="pixel 8",
    brand="google",
    search_text="customer-1\npixel 8\ngoogle",
    grams=f"{LINK.grams} pixel\ufffc ixel\ufffc8 xel\ufffc8 el\ufffc8 l\ufffc8 \ufffc8 8"
    " google oogle ogle gle le e",
)
SOMEONE = {"bankId": "bank-b", "customerId": "Customer-9", "userId": "user-9"}


@pytest.mark.parametrize(
    ("told", "rows"),
    [
        pytest.param([events.registered(1)], [], id="a registered device is not listed"),
        pytest.param([events.linked(2)], [LINK], id="a link is"),
        pytest.param([events.linked(2, **PHONE)], [DESCRIBED], id="with what is known of it"),
        pytest.param(
            [events.linked(2), events.login_seen(3, **PHONE)], [DESCRIBED], id="or told later"
        ),
        pytest.param(
            [events.linked(2, **PHONE), events.login_seen(3)], [DESCRIBED], id="which stays"
        ),
        pytest.param(
            [events.linked(2), events.login_seen(3, **SOMEONE, **PHONE)],
            [LINK],
            id="another customer's login doesn't describe it",
        ),
        pytest.param([events.linked(2), events.unlinked(3)], [], id="an unlinked one is gone"),
        pytest.param([events.linked(2), events.deactivated(3)], [], id="and a deactivated one"),
        pytest.param([events.linked(2), events.erased(3)], [], id="and an erased one"),
        pytest.param(
            [events.linked(2), events.unlinked(3, **SOMEONE), events.erased(4, **SOMEONE)],
            [LINK],
            id="another customer's endings leave it",
        ),
    ],
)
async def test_after_these_events_a_bank_has_these_links(
    projecting: Projecting, told: list[PublicEvent], rows: list[Link]
) -> None:
    await projecting.apply(events.on_partitions(told, PARTITIONS))
    found = await projecting.dump()
    assert [Link(*row) for row in found["links"]] == rows
    assert found["counts"] == [(events.BANK, PARTITION, len(rows))] * len(rows)


async def test_a_device_that_goes_to_another_bank_is_counted_there(projecting: Projecting) -> None:
    told = [events.linked(2), events.unlinked(3), events.linked(4, **SOMEONE)]
    await projecting.apply(events.on_partitions(told, PARTITIONS))
    assert (await projecting.dump())["counts"] == [("bank-b", PARTITION, 1)]


def test_every_part_of_a_line_begins_a_gram_or_its_grams_are_all_there() -> None:
    line = "a-1 \x7f\u00a0\u00e9 50%_\"'x"
    grams = grams_of(line)
    parts = [line[at:end] for at in range(len(line)) for end in range(at + 1, len(line) + 1)]
    for part in parts:
        wanted = grams_of(part)[: max(1, len(part) - 5)]
        assert all(any(gram.startswith(one) for gram in grams) for one in wanted), part
    assert not any(character in gram for gram in grams for character in " \n\0\x7f")
