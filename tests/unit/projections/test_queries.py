"""The queries, and what readers see while read models move, are swapped, or are not there."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from device_ledger.wire.events import PublicEvent
from projections.devices import queries as devices
from projections.links import queries as links
from projections.links.apply import MODEL as LINKS
from projections.links.apply import Link
from projections.links.queries import Filter, Search
from projections.lookup import queries as lookup
from projections.lookup.apply import MODEL as LOOKUP
from projections.readers import NotReadyError, ReadModels, open_read_models
from tests.samples import events
from tests.support.projecting import PARTITIONS, Projecting
from tests.support.read_models import end_of

BRANDS = ["Google", "Apple", "100%_Real"]


def many(count: int) -> list[PublicEvent]:
    """Links of one bank, two at each second, and one of another bank."""
    told = [
        events.linked(
            number + 1,
            device=f"device-{number:03}",
            customerId=f"Customer-{number % 10}",
            userId=f"user-{number % 10}",
            linkedAt=events.at(number // 2),
            phraseToken=f"phrase-{number % 10}",
            info={"brand": BRANDS[number % 3], "model": f"Model {number}"},
        )
        for number in range(count)
    ]
    return [*told, events.linked(count + 1, device="other", bankId="bank-b", customerId="Pixel")]


RECORDS = events.on_partitions(many(60), PARTITIONS)
END = end_of(RECORDS)


@pytest.fixture
async def models(projecting: Projecting) -> AsyncIterator[ReadModels]:
    """Readers of read models that hold all records."""
    async with projecting.reading(RECORDS) as opened:
        yield opened


def search(text: str, device: str = "none", phrase: str = "none") -> Filter:
    """A search in the standard bank."""
    return Filter(events.BANK, search=Search(text, device, phrase))


def tokens(found: list[Link]) -> list[str]:
    """The device tokens of rows."""
    return [link.device_token for link in found]


async def test_a_lookup_shows_its_position(models: ReadModels) -> None:
    shown = await lookup.find(models, "device-007")
    assert shown.value is not None
    assert (shown.value.customer_id, shown.position) == ("Customer-7", END)
    assert (await lookup.find(models, "device-999")).value is None


async def test_many_lookups_at_once(models: ReadModels) -> None:
    shown = await lookup.find_many(models, ["device-001", "none", "device-002"])
    assert sorted(shown.value) == ["device-001", "device-002"]


async def test_a_users_devices_come_newest_login_first(projecting: Projecting) -> None:
    told = [
        events.registered(1, device="a", registrationId="a"),
        events.registered(2, device="b", registrationId="b"),
        events.registered(3, device="c", registrationId="c"),
        events.login_seen(9, device="b", registrationId="b"),
        events.deactivated(10, device="c", registrationId="c"),
        events.registered(11, device="d", registrationId="d", userId="another"),
    ]
    await projecting.apply(events.on_partitions(told, PARTITIONS))
    models = await open_read_models(projecting.settings)
    for only_active, expected in ((True, ["b", "a"]), (False, ["b", "c", "a"])):
        shown = await devices.of_user(models, events.BANK, events.USER, only_active=only_active)
        assert [row.registration_id for row in shown.value] == expected
    await models.close()


@pytest.mark.parametrize("sort", ["linked_at", "customer_id"])
@pytest.mark.parametrize("descending", [True, False])
async def test_pages_follow_each_other_by_cursor_as_by_offset(
    models: ReadModels, sort: links.Sort, descending: bool
) -> None:
    own = Filter(events.BANK)
    everything = await links.page(models, own, sort=sort, descending=descending, limit=100)
    expected = tokens(everything.value.links)
    assert len(set(expected)) == everything.value.total == 60
    rows = everything.value.links
    assert rows == sorted(
        rows, key=lambda row: (getattr(row, sort), row.device_token), reverse=descending
    )
    by_offset, by_cursor = [], []
    after = None
    for number in range(9):
        page = await links.page(
            models, own, sort=sort, descending=descending, limit=7, offset=7 * number
        )
        by_offset += tokens(page.value.links)
        page = await links.page(models, own, sort=sort, descending=descending, limit=7, after=after)
        by_cursor += tokens(page.value.links)
        last = page.value.links[-1]
        after = (getattr(last, sort), last.device_token)
    assert by_offset == by_cursor == expected


async def test_a_customers_links(models: ReadModels) -> None:
    shown = await links.page(models, Filter(events.BANK, customer_id="Customer-3"), limit=100)
    assert tokens(shown.value.links) == [f"device-{n:03}" for n in (53, 43, 33, 23, 13, 3)]
    assert (shown.value.total, shown.value.total_is_minimum) == (6, False)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (search("OMER-4"), [f"device-{n:03}" for n in (54, 44, 34, 24, 14, 4)]),
        (
            search("mODEL 5"),
            [f"device-{n:03}" for n in (59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 5)],
        ),
        (search("l 7"), ["device-007"]),
        (search("57"), ["device-057"]),
        (search("%_re"), [f"device-{n:03}" for n in range(59, 0, -3)]),
        (search("o%l"), []),
        (search('"'), []),
        (search('le" OR "goo'), []),
        (search("pixel"), []),
        (search("customer-1\nmodel"), []),
        (search("nothing", device="device-009"), ["device-009"]),
        (search("nothing", device="other"), []),
        (search("no", phrase="phrase-2"), [f"device-{n:03}" for n in (52, 42, 32, 22, 12, 2)]),
        (
            Filter(events.BANK, "Customer-1", Search("goog", "", "")),
            ["device-051", "device-021"],
        ),
    ],
)
async def test_a_search_finds_parts_of_words_and_whole_tokens(
    models: ReadModels, asked: Filter, found: list[str]
) -> None:
    shown = await links.page(models, asked, limit=100)
    assert tokens(shown.value.links) == found
    assert (shown.value.total, shown.value.total_is_minimum) == (len(found), False)
    every = await links.matches(models, asked, most=100)
    assert every.value is not None
    assert sorted(tokens(every.value)) == sorted(found)


STRANGE = (r"o'b\r''\\k", '"x" & (y | !z):*', "<->a:b*c", "ab\tc\x7fd  e", "Ünïcode \U0001f4f1 ß")


async def test_a_search_finds_each_part_of_what_an_indexs_language_would_read(
    projecting: Projecting,
) -> None:
    told = [
        events.linked(number + 1, device=f"device-{number}", info={"model": text})
        for number, text in enumerate(STRANGE)
    ]
    projecting.topic.add(events.on_partitions(told, PARTITIONS))
    await projecting.apply([])
    models = await open_read_models(projecting.settings)
    for number, text in enumerate(STRANGE):
        for begin in range(len(text)):
            for end in range(begin + 1, min(begin + 9, len(text)) + 1):
                shown = await links.page(models, search(text[begin:end]), limit=100)
                assert f"device-{number}" in tokens(shown.value.links), text[begin:end]
    assert (await links.page(models, search("b\\r'k"), limit=1)).value.links == []
    await models.close()


async def test_more_matches_than_are_served_at_once_are_none(models: ReadModels) -> None:
    assert (await links.matches(models, Filter(events.BANK), most=59)).value is None
    assert len((await links.matches(models, Filter(events.BANK), most=60)).value or []) == 60


@pytest.mark.parametrize("text", ["model", "mo"])
async def test_a_total_beyond_what_is_counted_is_a_minimum(
    models: ReadModels, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "COUNTED", 50)
    shown = await links.page(models, search(text), limit=3)
    assert tokens(shown.value.links) == ["device-059", "device-058", "device-057"]
    assert (shown.value.total, shown.value.total_is_minimum) == (50, True)


async def test_a_slow_read_holds_up_no_other(models: ReadModels) -> None:
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000)"
        " SELECT count(*) FROM n"
    )
    if models.engine == "postgresql":
        numbers = "SELECT count(*) FROM (SELECT generate_series(1, 20000000)) AS n"
    counting = asyncio.create_task(models.read(LINKS.name, (numbers, {}), slow=True))
    await asyncio.sleep(0)
    for _ in range(3):
        assert (await lookup.find(models, "device-007")).position == END
    assert not counting.done()
    await counting


async def test_what_was_unlinked_is_found_no_more(projecting: Projecting) -> None:
    told = many(6)
    gone = events.unlinked(20, device="device-004", userId="user-4", customerId="Customer-4")
    await projecting.apply(events.on_partitions([*told, gone], PARTITIONS))
    models = await open_read_models(projecting.settings)
    shown = await links.page(models, search("model"), limit=10)
    assert tokens(shown.value.links) == [f"device-{n:03}" for n in (5, 3, 2, 1, 0)]
    await models.close()


async def test_before_the_first_build_there_is_nothing_to_read(projecting: Projecting) -> None:
    models = await open_read_models(projecting.settings)
    with pytest.raises(NotReadyError, match="lookup"):
        await lookup.find(models, "device-001")
    assert not await models.wait_for("lookup", {0: 1}, 0.05)
    await models.close()


async def test_a_reader_waits_for_a_position(projecting: Projecting) -> None:
    await projecting.apply([])
    models = await open_read_models(projecting.settings)
    waiting = [
        asyncio.create_task(models.wait_for(name, END, 30)) for name in ("lookup", "links") * 3
    ]
    assert not await models.wait_for("lookup", END, 0.05)
    half = len(RECORDS) // 2
    await projecting.apply(RECORDS[:half], RECORDS[half:])
    assert await asyncio.gather(*waiting) == [True] * len(waiting)
    assert await models.wait_for("lookup", END, 0)
    await models.close()


async def test_a_reader_waits_for_the_first_build(projecting: Projecting) -> None:
    models = await open_read_models(projecting.settings)
    waiting = asyncio.create_task(models.wait_for("lookup", END, 30))
    projecting.topic.add(RECORDS)
    await projecting.apply([])
    assert await waiting
    await models.close()


async def test_a_swap_shows_nothing_older_and_no_fewer_rows(projecting: Projecting) -> None:
    """Readers poll through rebuilds while events come: rows and position only grow."""
    models = await open_read_models(projecting.settings)
    await projecting.apply([])
    done = asyncio.Event()

    async def poll() -> int:
        rows, position, looks = 0, dict.fromkeys(range(PARTITIONS), 0), 0
        while not done.is_set():
            shown = await links.page(models, Filter(events.BANK), limit=100)
            assert len(shown.value.links) == shown.value.total >= rows
            assert all(shown.position[p] >= position[p] for p in position)
            rows, position, looks = shown.value.total, shown.position, looks + 1
            await asyncio.sleep(0)
        return looks

    async def write() -> None:
        worker = projecting.live(LINKS)
        for record in RECORDS:
            projecting.topic.add([record])
            await worker.apply([record])
        await worker.close()

    polling = asyncio.create_task(poll())
    writing = asyncio.create_task(write())
    while not writing.done():
        await projecting.rebuild(LINKS)
    await writing
    await projecting.rebuild(LINKS)
    done.set()
    assert await polling > 10
    shown = await links.page(models, Filter(events.BANK), limit=100)
    assert (shown.value.total, shown.position) == (60, END)
    await models.close()


async def test_a_rebuild_gives_what_was_there(projecting: Projecting) -> None:
    projecting.topic.add(RECORDS)
    await projecting.apply([])
    before, name = await projecting.dump(), projecting.store.live(LOOKUP)
    await projecting.rebuild(LOOKUP)
    assert (await projecting.dump(), projecting.store.live(LOOKUP) == name) == (before, False)
