"""What people send who mean no good, to the routes that have two ways in: each answers alike."""

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Message

from api.route import BODY_BYTES_MAX
from tests.contract.http.test_short_way import both, told
from tests.support.forging import Forger, part
from tests.support.installation import Installation

LINK = "/v1/bank/customer/device/link"
BODY = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}
GOOD = json.dumps(BODY).encode()
JSON = {"Content-Type": "application/json"}
FAMILIES = {
    "/v1/bank/devices/list": 401,
    "/settings/devices": 401,
    "/a/consumer/api/v0/users/7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42/devices": 400,
    "/v1/security/alerts": 401,
}
"""An address of each family, and what it answers to a token that does not hold."""


async def test_no_forged_token_is_believed_on_any_way(api: Installation) -> None:
    forger = Forger(api)
    forged = forger.all()
    assert len(forged) > 70
    before = api.services.ledger.heads()
    good = {"Authorization": f"Bearer {forger.token()}"}
    believed = await api.client.get("/v1/bank/devices/list", headers=good)
    assert believed.status_code == 200
    for name, text in forged.items():
        header = {"Authorization": f"Bearer {text}"}
        short, long = await both(api, LINK, GOOD, header)
        assert short == long, name
        assert short[0] == 401, name
        for path, status in FAMILIES.items():
            assert (await api.client.get(path, headers=header)).status_code == status, (name, path)
    assert api.services.ledger.heads() == before


def deep(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """A link whose phrase is nested."""
    nested = opening * depth + b"1" + closing * depth
    return b'{"customerId":"c","deviceId":"d","phrase":' + nested + b"}"


def with_phrase(written: bytes) -> bytes:
    """A link with a phrase as it is written in JSON."""
    return b'{"customerId":"c","deviceId":"d","phrase":' + written + b"}"


BODIES: dict[str, tuple[int, bytes]] = {
    "nothing": (400, b""),
    "white space": (400, b" " * 1000),
    "NUL": (400, b"\0"),
    "a list": (400, b"[" + GOOD + b"]"),
    "two objects": (400, GOOD + GOOD),
    "a comma too many": (400, GOOD[:-1] + b",}"),
    "a comment": (400, b"/* */" + GOOD),
    "apostrophes": (400, GOOD.replace(b'"', b"'")),
    "a BOM": (400, b"\xef\xbb\xbf" + GOOD),
    "UTF-16": (400, GOOD.decode().encode("utf-16")),
    "UTF-32": (400, GOOD.decode().encode("utf-32-le")),
    "compressed": (400, gzip.compress(GOOD)),
    "a name twice": (400, GOOD[:-1] + b',"deviceId":"device-2"}'),
    "a name twice, once escaped": (400, GOOD[:-1] + b',"device\\u0049d":"device-2"}'),
    "a name twice, deep": (400, with_phrase(b'{"a":1,"a":2}')),
    "a name in other letters": (400, GOOD.replace(b"deviceId", b"DeviceId")),
    "__proto__": (400, GOOD[:-1] + b',"__proto__":{"admin":true}}'),
    "a bank": (400, GOOD[:-1] + b',"bankId":"bank-2"}'),
    **{
        f"phrase {written.decode('latin-1')[:20]}": (400, with_phrase(written))
        for written in (
            *(b"NaN", b"Infinity", b"-Infinity", b"1e999", b"0x10", b"01", b"+1", b".5", b"1."),
            *(b"1" * 5000, b"-" + b"9" * 400, b"1e-400", b"true", b"null", b"{}", b"[]", b'"" "'),
            *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xed\xa0\x80"', b'"\xff"', b'"\xc0\xaf"'),
            *(b'"\\x41"', b'"\\u00"', b'"a\nb"', b'"a\tb"', b'"\\u0009\\u2003 \\u3000"', b'""'),
        )
    },
    "deep": (400, deep(100)),
    "deeper": (400, deep(30_000)),
    "deep objects": (400, deep(9_000, b'{"a":', b"}")),
    "many names": (400, b"{" + b",".join(b'"%d":1' % one for one in range(5000)) + b"}"),
    "as large as may be": (200, GOOD + b" " * (BODY_BYTES_MAX - len(GOOD))),
    "one byte more": (413, GOOD + b" " * (BODY_BYTES_MAX - len(GOOD) + 1)),
    "10 MB": (413, with_phrase(b'"' + b"a" * 10_000_000 + b'"')),
}


async def test_json_that_is_odd_is_answered_alike_on_both_ways(api: Installation) -> None:
    for name, (status, content) in BODIES.items():
        short, long = await both(api, LINK, content, api.bank())
        assert short == long, name
        assert short[0] == status, name


async def test_ten_megabytes_whose_size_is_not_told_are_refused(api: Installation) -> None:
    sent = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(160):
            sent += 65_536
            yield b" " * 65_536

    response = await api.client.post(LINK, content=stream(), headers=api.bank() | JSON)
    assert response.status_code == 413


MEDIA = {
    "Content-Type": ("text/plain", "application/xml", "application/json, text/html", "", "json"),
    "Content-Encoding": ("gzip", "br", "deflate"),
}


async def test_media_types_and_codings_that_are_not_ours_change_nothing(api: Installation) -> None:
    before = api.services.ledger.heads()
    for name in MEDIA["Content-Type"]:
        headers = api.bank() | {"Content-Type": name}
        answer = await api.client.post(LINK, content=GOOD, headers=headers)
        assert answer.status_code == 400, name
    for coding in MEDIA["Content-Encoding"]:
        headers = api.bank() | {"Content-Encoding": coding}
        short, long = await both(api, LINK, gzip.compress(GOOD), headers)
        assert (short, short[0]) == (long, 400), coding
    assert api.services.ledger.heads() == before


async def test_two_media_types_are_answered_as_the_first_whatever_the_way(
    api: Installation,
) -> None:
    for first, second, status in (
        ("text/plain", "application/json", 400),
        ("", "application/json", 400),
        ("text/plain", "application/json; charset=utf-8", 400),
        ("application/json", "text/plain", 200),
    ):
        headers = [*api.bank().items(), ("Content-Type", first), ("Content-Type", second)]
        answer = await api.client.post(LINK, content=GOOD, headers=headers)
        assert answer.status_code == status, (first, second)


async def test_a_charset_other_than_utf_8_is_not_believed(api: Installation) -> None:
    body = json.dumps(BODY | {"phrase": "Zwölf"}, ensure_ascii=False)
    for charset in ("latin-1", "utf-16", "utf-7", "nonsense"):
        headers = api.bank() | {"Content-Type": f"application/json; charset={charset}"}
        content = body.encode("latin-1")
        answer = await api.client.post(LINK, content=content, headers=headers)
        assert answer.status_code == 400, charset


ODD_KEYS = ["", " ", "k" * 256, "k" * 60_000, "\x01", "a\x7f", "\xff" * 255, "a, b", "%00", "'; --"]


async def test_idempotency_keys_are_answered_alike_on_both_ways(api: Installation) -> None:
    for key in ODD_KEYS:
        headers: dict[str, Any] = api.bank() | {"Idempotency-Key": key.encode("latin-1")}
        short, long = await both(api, LINK, GOOD, headers)
        assert short == long, key
        assert short[0] in {200, 400}, key


PHRASES = {
    # As written, and others that are the same to the ledger.
    "Blue heron": ("BLUE HERON", "  blue \t heron ", "ｂｌｕｅ　ｈｅｒｏｎ"),  # noqa: RUF001
    "Stra\u00dfe": ("STRASSE", "strasse"),
    "Caf\u00e9": ("Cafe\u0301", "CAF\u00c9"),
    "\u2167 Boxk\u00e4mpfer": ("viii boxka\u0308mpfer",),
    "\ufb01sh": ("FISH",),
}
DIFFERENT = ("Blue\u200bheron", "Blue\u202eheron", "Вlue heron", "Blue heron\ufe0f", "🦓", "🦓🏽")  # noqa: RUF001


async def test_phrases_are_the_same_after_normalization_and_not_where_they_look_so(
    api: Installation,
) -> None:
    number = 0
    for phrase, same in PHRASES.items():
        for written in (phrase, *same):
            number += 1
            body = {"customerId": phrase, "phrase": written, "deviceId": f"device-{number}"}
            assert (await api.command("link", body)).status_code == 200, ascii(written)
            taken = body | {"customerId": "another"}
            assert (await api.command("link", taken)).status_code == 409, ascii(written)
    for phrase in DIFFERENT:
        number += 1
        body = {"customerId": ascii(phrase), "phrase": phrase, "deviceId": f"device-{number}"}
        short, long = await both(api, LINK, json.dumps(body).encode(), api.bank())
        assert short == long, ascii(phrase)
        assert short[0] == 200, ascii(phrase)


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8"])
async def test_half_a_command_of_a_caller_who_has_gone_is_not_done(
    api: Installation, media_type: str
) -> None:
    told: list[Message] = []
    coming: list[Message] = [
        {"type": "http.request", "body": GOOD, "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        told.append(message)

    sent = api.bank() | {"Content-Type": media_type, "Content-Length": str(len(GOOD) + 9)}
    headers = [(name.lower().encode(), value.encode()) for name, value in sent.items()]
    scope = {"type": "http", "method": "POST", "path": LINK, "headers": headers}
    before = api.services.ledger.heads()
    await api.app(scope | {"query_string": b"", "client": None}, receive, send)
    assert api.services.ledger.heads() == before
    assert [one["status"] for one in told if "status" in one] == [400]


async def test_odd_headers_are_answered_alike_on_both_ways(api: Installation) -> None:
    odd: list[list[tuple[str, str]]] = [
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Basic YTpi")],
        [*api.bank().items(), *api.bank().items()],
        [*api.bank().items(), ("Ledger-Min-Position", "x" * 5000)],
        [*api.bank().items(), ("X-Request-ID", "a\x0bb")],
        [*api.bank().items(), ("X-Forwarded-For", "127.0.0.1"), ("X-HTTP-Method-Override", "GET")],
        [*api.bank().items(), ("Host", "evil.example"), ("X-Original-URL", "/metrics")],
    ]
    for headers in odd:
        short, long = [
            told(
                await api.client.post(
                    LINK, content=GOOD, headers=[*headers, ("Content-Type", media_type)]
                )
            )
            for media_type in ("application/json", "application/json; charset=utf-8")
        ]
        assert short == long, headers
        assert short[0] in {200, 401}, headers


async def test_a_cursor_that_was_cut_forged_or_changed_is_refused(api: Installation) -> None:
    for number in range(3):
        await api.command("link", BODY | {"deviceId": f"device-{number}"})
    await api.project()
    page = await api.client.get("/v1/bank/devices/list?limit=1", headers=api.bank())
    cursor = httpx.URL(page.links["next"]["url"]).params["cursor"]

    async def status(text: str, **headers: str) -> int:
        asked = {"limit": "1", "cursor": text}
        answer = await api.client.get(
            "/v1/bank/devices/list", params=asked, headers=headers or api.bank()
        )
        return answer.status_code

    assert await status(cursor) == 200
    assert await status(cursor, **api.bank("bank-2")) == 400
    cut = [cursor[:length] for length in range(1, len(cursor))]
    longer = [cursor + end for end in ("A", "AAAA", "=", "==", "\n", " ", "\0")]
    forged = [part(["2026-01-31"]), "x" * 4097, "%00", "../..", "null", "é"]
    for text in (*cut, *longer, *forged, cursor.swapcase(), cursor[::-1]):
        assert await status(text) == 400, text
