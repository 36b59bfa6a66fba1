"""Bad input: 400 in the family's shape, naming the field, never repeating the value."""

from typing import Any

import pytest
from starlette.types import Message

from api.route import BODY_BYTES_MAX, HEADERS_MAX
from tests.support.installation import BANNO, Installation

LINK = {"customerId": "customer-1", "phrase": "Blue heron", "deviceId": "device-1"}
LOGIN = {"customerId": "customer-1", "deviceId": "device-1"}
NOT_JSON = "The request body is not valid JSON"
NO_OBJECT = "The request body must be a JSON object, sent as Content-Type: application/json"
JSON = {"Content-Type": "application/json"}


def refused(message: str) -> tuple[int, dict[str, Any]]:
    return 400, {"statusCode": 400, "success": False, "message": message}


@pytest.mark.parametrize(
    "device_id",
    ["", "." * 3, "a" * 129, "two words", "h\u00e9ron", "a\u0000", "a\n", 7, None, ["a"]],
)
async def test_a_device_id_that_breaks_the_rule_is_told_so(
    api: Installation, device_id: object
) -> None:
    response = await api.command("link", LINK | {"deviceId": device_id})
    assert (response.status_code, response.json()) == refused("Invalid device ID format")


CUSTOMER_RULE = "customerId must be 1 to 128 printable characters"
PHRASE_RULE = "phrase must be 1 to 256 characters, not only white space"
TIME_RULE = "seenAt must be a date and time as in RFC 3339, with its offset"
ADDRESS_RULE = "ipAddress must be an IPv4 or IPv6 address, without a zone"


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("link", LINK | {"customerId": ""}, CUSTOMER_RULE),
        ("link", LINK | {"customerId": "c" * 129}, CUSTOMER_RULE),
        ("link", LINK | {"customerId": "line\nbreak"}, CUSTOMER_RULE),
        ("link", LINK | {"phrase": " \t "}, PHRASE_RULE),
        ("link", LINK | {"phrase": "p" * 257}, PHRASE_RULE),
        ("link", LINK | {"phrase": 5}, "phrase: Input should be a valid string"),
        ("link", LINK | {"secret-7": 1}, "The request has a field that is not known"),
        ("link", LOGIN, "phrase is missing"),
        ("deactivate", {"customerId": "c"}, "deviceId is missing"),
        ("login-seen", LOGIN | {"seenAt": "yesterday"}, TIME_RULE),
        ("login-seen", LOGIN | {"seenAt": "2026-01-31"}, TIME_RULE),
        ("login-seen", LOGIN | {"seenAt": "2026-01-31T09:30:00"}, TIME_RULE),
        ("login-seen", LOGIN | {"seenAt": "2026-02-30T09:30:00Z"}, TIME_RULE),
        ("login-seen", LOGIN | {"seenAt": "0001-01-01T00:00:00+23:59"}, TIME_RULE),
        ("login-seen", LOGIN | {"ipAddress": "192.0.2.256"}, ADDRESS_RULE),
        ("login-seen", LOGIN | {"ipAddress": "fe80::1%eth0"}, ADDRESS_RULE),
        (
            "login-seen",
            LOGIN | {"deviceType": "Toaster"},
            "deviceType: Input should be 'Mobile', 'Tablet', 'Desktop', 'Other' or 'Unknown'",
        ),
        (
            "login-seen",
            LOGIN | {"deviceInfo": {"model": "m" * 65}},
            "deviceInfo.model: String should have at most 64 characters",
        ),
        (
            "login-seen",
            LOGIN | {"deviceInfo": {"owner": "Sam"}},
            "The request has a field that is not known",
        ),
    ],
)
async def test_a_bad_field_is_named_and_its_value_not_repeated(
    api: Installation, name: str, body: dict[str, Any], message: str
) -> None:
    response = await api.command(name, body)
    assert (response.status_code, response.json()) == refused(message)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"customerId":"a","customerId":"b","phrase":"p","deviceId":"d"}',
        b'{"customerId":NaN,"phrase":"p","deviceId":"d"}',
        b'{"customerId":"\\ud800","phrase":"p","deviceId":"d"}',
        b'{"customerId":"\xff","phrase":"p","deviceId":"d"}',
        b"{" + b",".join(b'"%d":1' % number for number in range(101)) + b"}",
        b"[" * 5000 + b"]" * 5000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b'{"customerId":' + b"9" * 5000 + b"}",
    ],
)
async def test_what_is_no_strict_json_is_refused(api: Installation, content: bytes) -> None:
    response = await api.client.post(
        "/v1/bank/customer/device/link", content=content, headers=api.bank() | JSON
    )
    assert response.status_code == 400
    assert response.json()["message"] in (NOT_JSON, "customerId: Input should be a valid string")


@pytest.mark.parametrize("content", [b"[]", b'"text"', b"null", b"7"])
async def test_json_that_is_no_object_is_refused(api: Installation, content: bytes) -> None:
    response = await api.client.post(
        "/v1/bank/customer/device/link", content=content, headers=api.bank() | JSON
    )
    assert (response.status_code, response.json()) == refused(NO_OBJECT)


async def test_json_under_another_content_type_is_refused(api: Installation) -> None:
    response = await api.client.post(
        "/v1/bank/customer/device/link",
        content=b'{"customerId":"c","phrase":"p","deviceId":"d"}',
        headers=api.bank() | {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (response.status_code, response.json()) == refused(NO_OBJECT)


async def test_no_body_is_refused(api: Installation) -> None:
    response = await api.client.post("/v1/bank/customer/device/link", headers=api.bank())
    assert (response.status_code, response.json()) == refused(NO_OBJECT)


@pytest.mark.parametrize("size_is_told", [True, False])
async def test_a_body_that_is_too_large_is_refused_told_or_not(
    api: Installation, size_is_told: bool
) -> None:
    async def stream() -> Any:
        for _ in range(BODY_BYTES_MAX // 1024 + 1):
            yield b" " * 1024

    content = b" " * (BODY_BYTES_MAX + 1) if size_is_told else stream()
    response = await api.client.post(
        "/v1/bank/customer/device/link", content=content, headers=api.bank() | JSON
    )
    assert (response.status_code, response.json()) == (
        413,
        {"statusCode": 413, "success": False, "message": "The request body is too large"},
    )


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_an_idempotency_key_has_1_to_255_characters(api: Installation, key: str) -> None:
    response = await api.command("link", LINK, api.bank() | {"Idempotency-Key": key})
    assert response.status_code == 400
    assert response.json()["message"].startswith("Idempotency-Key: String should have at")


async def test_bad_input_comes_before_a_missing_token_and_that_before_the_scope(
    api: Installation,
) -> None:
    bad, good = LINK | {"deviceId": "?"}, LINK
    statuses = [
        (
            await api.client.post("/v1/bank/customer/device/link", json=body, headers=headers)
        ).status_code
        for headers in ({}, api.merchant(), api.bank())
        for body in (bad, good)
    ]
    assert statuses == [400, 401, 400, 403, 400, 200]


async def test_each_family_tells_errors_in_its_own_shape(api: Installation) -> None:
    found = [
        (response.status_code, response.json())
        for response in [
            await api.client.get("/v1/bank/devices/list"),
            await api.client.get("/settings/devices"),
            await api.client.get(f"{BANNO}/users/7f1c2f0e-0b7e-4a39-9d5b-2f9f6f5c7a42/devices"),
            await api.client.get(f"{BANNO}/users/me/devices"),
            await api.client.get("/settings/nothing"),
            await api.client.put("/settings/devices"),
            await api.client.get("/nothing"),
        ]
    ]
    words = "A bearer token is needed"
    assert found == [
        (401, {"statusCode": 401, "success": False, "message": words}),
        (401, {"message": words}),
        (400, words),
        (400, "userId is not valid"),
        (404, {"message": "No such address"}),
        (405, {"message": "This address does not allow that method"}),
        (404, {"statusCode": 404, "success": False, "message": "No such address"}),
    ]


async def test_more_headers_than_anybody_needs_are_refused(api: Installation) -> None:
    many = [(f"x-{number}", "1") for number in range(HEADERS_MAX)]
    found = [
        await api.client.get(path, headers=many)
        for path in ("/v1/bank/devices/list", "/settings/devices", f"{BANNO}/users/me/devices")
    ]
    message = "The request has too many headers"
    peere = {"statusCode": 400, "success": False, "message": message}
    assert [(one.status_code, one.json()) for one in found] == [
        (400, peere),
        (400, {"message": message}),
        (400, message),
    ]


@pytest.mark.parametrize("target", ["*", "", "ledger.test:443"])
async def test_a_target_that_is_no_path_is_no_address(api: Installation, target: str) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": "OPTIONS",
        "path": target,
        "headers": [],
        "query_string": b"",
    }
    await api.app(scope, receive, send)
    assert [sent[0]["status"], sent[1]["body"]] == [
        404,
        b'{"statusCode":404,"success":false,"message":"No such address"}',
    ]


ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1e308,
    10**30,
    "",
    " ",
    "\u0000",
    "a\u0000b",
    "\u202e",
    "\ufdfa" * 256,
    "\u0345" * 128,
    "\ue000",
    "\U0001f4a9" * 64,
    "%s%n",
    "' OR 1=1 --",
    "../../etc/passwd",
    "a" * 20_000,
    [],
    {},
    [[]],
    {"a": {"b": []}},
    "9999-12-31T23:59:59.999999999-23:59",
    "2026-01-31t09:30:60z",
    "::ffff:192.0.2.1",
    "0.0.0.0",
    "\u0661\u0662",
]


async def test_nothing_that_is_sent_makes_a_failure(api: Installation) -> None:
    info = dict.fromkeys(("model", "brand", "os", "osVersion", "browser"), "x")
    login = LOGIN | {
        "seenAt": "2026-01-31T09:30:00Z",
        "ipAddress": "192.0.2.1",
        "userAgent": "Mozilla/5.0",
        "deviceName": "phone",
        "deviceType": "Mobile",
        "deviceInfo": info,
    }
    lookups = "/v1/customer/device/lookup"
    calls: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        ("/v1/bank/customer/device/link", LINK, api.bank()),
        ("/v1/bank/customer/device/unlink", LINK, api.bank()),
        ("/v1/bank/customer/device/login-seen", login, api.bank()),
        ("/v1/bank/customer/device/deactivate", LOGIN, api.bank()),
        (lookups, {"deviceId": "d"}, api.merchant()),
        (f"{lookups}/batch", {"deviceIds": ["d"]}, api.merchant()),
    ]
    for path, body, headers in calls:
        for name in body:
            for odd in ODD:
                response = await api.client.post(path, json=body | {name: odd}, headers=headers)
                assert response.status_code in (200, 400, 404, 409), (path, name, odd)
    for name in ("page", "limit", "search", "sortBy", "sortOrder", "customerId", "cursor"):
        for odd in ODD:
            response = await api.client.get(
                "/v1/bank/devices/list", params={name: str(odd)}, headers=api.bank()
            )
            assert response.status_code in (200, 400), (name, odd)
