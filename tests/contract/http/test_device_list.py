"""A bank lists its linked devices."""

import re
from typing import Any

import httpx
import pytest

from api.bank import device_list
from tests.contract.http.conftest import ON_BOTH
from tests.support.installation import Installation

LIST = "/v1/bank/devices/list"


async def listed(api: Installation, query: str = "", bank: str = "bank-1") -> httpx.Response:
    return await api.client.get(LIST + query, headers=api.bank(bank))


async def ids(api: Installation, query: str) -> list[str]:
    response = await listed(api, query)
    assert response.status_code == 200, response.text
    return [device["deviceId"] for device in response.json()["data"]["devices"]]


async def link_some(api: Installation) -> None:
    """Five devices of three customers at bank-1, linked in this order, and one at bank-2."""
    for customer, phrase, device in [
        ("anna-1", "Maple", "d-3"),
        ("anna-1", "Maple", "d-1"),
        ("carl-2", "Alder", "d-5"),
        ("bert-3", "Zelkova", "d-2"),
        ("bert-3", "Zelkova", "d-4"),
    ]:
        body = {"customerId": customer, "phrase": phrase, "deviceId": device}
        assert (await api.command("link", body)).status_code == 200
    other = {"customerId": "anna-1", "phrase": "Maple", "deviceId": "d-9"}
    assert (await api.command("link", other, api.bank("bank-2"))).status_code == 200
    agent = "Mozilla/5.0 (Linux; Android 10; SM-S727VL) Chrome/66.0.3359.158 Mobile Safari/537.36"
    login = {"customerId": "carl-2", "deviceId": "d-5", "userAgent": agent}
    assert (await api.command("login-seen", login)).status_code == 200
    await api.project()


@ON_BOTH
async def test_a_page_tells_devices_total_page_and_limit(api: Installation) -> None:
    await link_some(api)
    response = await listed(api, "?page=2&limit=2&sortBy=deviceId")
    content: dict[str, Any] = response.json()
    times = [device.pop("linkedAt") for device in content["data"]["devices"]]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one) for one in times)
    assert (response.status_code, content) == (
        200,
        {
            "statusCode": 200,
            "success": True,
            "message": "Devices listed successfully",
            "data": {
                "devices": [
                    {"deviceId": "d-3", "customerId": "anna-1", "phrase": "Maple"},
                    {"deviceId": "d-4", "customerId": "bert-3", "phrase": "Zelkova"},
                ],
                "total": 5,
                "page": 2,
                "limit": 2,
            },
        },
    )


async def test_the_newest_link_comes_first_unless_asked_otherwise(api: Installation) -> None:
    await link_some(api)
    newest_first = ["d-4", "d-2", "d-5", "d-1", "d-3"]
    times = {d["deviceId"]: d["linkedAt"] for d in (await listed(api)).json()["data"]["devices"]}
    assert sorted(times.values(), reverse=True) == list(times.values())
    assert await ids(api, "?sortOrder=asc") == list(reversed(await ids(api, "")))
    if len(set(times.values())) == len(times):
        assert list(times) == newest_first


FOUND = {
    "?sortBy=deviceId": ["d-1", "d-2", "d-3", "d-4", "d-5"],
    "?sortBy=deviceId&sortOrder=desc": ["d-5", "d-4", "d-3", "d-2", "d-1"],
    "?search=ANN&sortBy=deviceId": ["d-1", "d-3"],
    "?search=an&sortBy=deviceId": ["d-1", "d-3"],
    "?search=sm-s7": ["d-5"],
    "?search=samsung": ["d-5"],
    "?search=d-2": ["d-2"],
    "?search=d-": [],
    "?search=%20ZELKOVA&sortBy=deviceId": ["d-2", "d-4"],
    "?search=zelk": [],
    "?search=d-9": [],
    "?search=%25": [],
    "?search=%22%20OR%20": [],
    "?customerId=anna-1&sortBy=deviceId": ["d-1", "d-3"],
    "?customerId=anna": [],
    "?customerId=anna-1&search=d-3": ["d-3"],
    "?search=&sortBy=deviceId": ["d-1", "d-2", "d-3", "d-4", "d-5"],
}


@ON_BOTH
async def test_search_sort_and_customer_narrow_and_order(api: Installation) -> None:
    await link_some(api)
    assert {query: await ids(api, query) for query in FOUND} == FOUND


@ON_BOTH
async def test_customers_and_phrases_sort_in_both_directions(api: Installation) -> None:
    await link_some(api)

    async def values(query: str, name: str) -> list[str]:
        return [device[name] for device in (await listed(api, query)).json()["data"]["devices"]]

    customers = ["anna-1", "anna-1", "bert-3", "bert-3", "carl-2"]
    phrases = ["Alder", "Maple", "Maple", "Zelkova", "Zelkova"]
    assert await values("?sortBy=customerId", "customerId") == customers
    assert await values("?sortBy=customerId&sortOrder=desc", "customerId") == customers[::-1]
    assert await values("?sortBy=phrase", "phrase") == phrases
    assert await values("?sortBy=phrase&sortOrder=desc", "phrase") == phrases[::-1]


async def walked(api: Installation, question: str) -> tuple[list[str], list[tuple[int, ...]]]:
    """The device IDs that the next links lead through, and each page's number, total and limit."""
    found: list[str] = []
    pages: list[tuple[int, ...]] = []
    address = f"{LIST}?limit=2&{question}"
    while address:
        response = await api.client.get(address, headers=api.bank())
        data = response.json()["data"]
        found += [device["deviceId"] for device in data["devices"]]
        pages.append((data["page"], data["total"], data["limit"]))
        link = re.fullmatch(r'<(.+)>; rel="next"', response.headers.get("Link", ""))
        address = link[1] if link else ""
    return found, pages


@ON_BOTH
async def test_the_next_links_lead_through_all_of_it_once(api: Installation) -> None:
    await link_some(api)
    for sort in ("linkedAt", "customerId", "deviceId", "phrase"):
        for order in ("asc", "desc"):
            question = f"sortBy={sort}&sortOrder={order}&search=-"
            found, pages = await walked(api, question)
            assert found == await ids(api, f"?{question}"), question
            assert sorted(found) == ["d-1", "d-2", "d-3", "d-4", "d-5"]
            assert pages == [(1, 5, 2), (2, 5, 2), (3, 5, 2)]


@ON_BOTH
async def test_a_cursor_belongs_to_its_bank_filter_and_sort(api: Installation) -> None:
    await link_some(api)
    cursor = (await listed(api, "?limit=1")).headers["Link"].split("cursor=")[1].split(">")[0]
    statuses = [
        (await listed(api, f"?{query}cursor={cursor}", bank)).status_code
        for query, bank in [
            ("", "bank-1"),
            ("limit=3&", "bank-1"),
            ("", "bank-2"),
            ("sortBy=customerId&", "bank-1"),
            ("sortOrder=asc&", "bank-1"),
            ("search=d-1&", "bank-1"),
            ("customerId=anna-1&", "bank-1"),
        ]
    ]
    assert statuses == [200, 200, 400, 400, 400, 400, 400]
    assert (await listed(api, "?cursor=made-up")).json()["message"] == "cursor is not of this list"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?page=0", "page: Input should be greater than or equal to 1"),
        ("?limit=0", "limit: Input should be greater than or equal to 1"),
        ("?limit=101", "limit: Input should be less than or equal to 100"),
        (
            "?limit=many",
            "limit: Input should be a valid integer, unable to parse string as an integer",
        ),
        (
            "?page=101&limit=100",
            "page times limit is at most 10000; the Link header's next goes further",
        ),
        (
            "?sortBy=bank",
            "sortBy: Input should be 'linkedAt', 'customerId', 'deviceId' or 'phrase'",
        ),
        ("?sortOrder=up", "sortOrder: Input should be 'asc' or 'desc'"),
        ("?customerId=", "customerId must be 1 to 128 printable characters"),
        ("?search=a%00b", "search must not have the character NUL"),
        (f"?search={'a' * 257}", "search: String should have at most 256 characters"),
    ],
)
async def test_a_bad_question_is_told_what_is_wrong(
    api: Installation, query: str, message: str
) -> None:
    response = await listed(api, query)
    assert (response.status_code, response.json()["message"]) == (400, message)


async def test_sealed_values_sort_up_to_a_limit_and_beyond_it_400_says_why(
    api: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await link_some(api)
    monkeypatch.setattr(device_list, "SORTED_HERE_MAX", 4)
    response = await listed(api, "?sortBy=phrase")
    assert (response.status_code, response.json()["message"]) == (
        400,
        "Sorting by phrase is served up to 4 matches: narrow the list with search or customerId",
    )
    assert await ids(api, "?sortBy=deviceId&customerId=anna-1") == ["d-1", "d-3"]


@ON_BOTH
async def test_a_total_that_stopped_counting_says_so(
    api: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await link_some(api)
    assert "Total-Is-Minimum" not in (await listed(api, "?search=-")).headers
    monkeypatch.setattr("projections.links.queries.COUNTED", 3)
    response = await listed(api, "?search=-")
    assert (response.headers["Total-Is-Minimum"], response.json()["data"]["total"]) == ("true", 3)
